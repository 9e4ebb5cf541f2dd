"""What commands that call the API share: a client, one call on each of some ids, as much of a list as asked."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from msgspec.structs import replace

from app.client import ApiError, Client
from app.commands import exits
from app.commands.running import open_client
from app.commands.terminal import Output, print_json, print_line
from app.errors import InvalidRequest
from app.settings import load_settings
from schemas.checkpoint import CheckpointPage
from schemas.failure import FailurePage
from schemas.limits import PAGE_MAX
from schemas.pipeline import PipelinePage
from schemas.schedule import SchedulePage
from schemas.task import TaskPage
from schemas.template import TemplatePage

P = TypeVar("P", PipelinePage, TaskPage, CheckpointPage, TemplatePage, SchedulePage, FailurePage)
T = TypeVar("T")
Id = TypeVar("Id", UUID, str, int)


def connect() -> Client:
    """Make a client as the settings say."""
    return open_client(load_settings())


async def on_each(
    ids: Sequence[Id], output: Output, call: Callable[[Id], Awaitable[T]], told: Callable[[T], str]
) -> int:
    """Call the API for each id and tell what came of it; a refusal of one does not keep the others from it.

    Returns the exit code of the first refusal.
    """
    if not ids:
        raise InvalidRequest("Name one or more.")
    code = exits.COMPLETED
    for each in ids:
        try:
            answer = await call(each)
        except ApiError as error:
            code = code or exits.explain(error)
            continue
        if output == "json":
            print_json(answer)
        else:
            print_line(told(answer))
    return code


async def enough(fetch: Callable[[int, str | None], Awaitable[P]], limit: int, cursor: str | None) -> P:
    """Read pages until there are ``limit`` items, because one may be short though more follow; join them into one."""
    if limit < 1:
        raise InvalidRequest("--limit is 1 or more.")
    page = await fetch(min(limit, PAGE_MAX), cursor)
    items: list[Any] = list(page.items)
    while page.next_cursor is not None and len(items) < limit:
        page = await fetch(min(limit - len(items), PAGE_MAX), page.next_cursor)
        items += page.items
    return replace(page, items=items)


def tell_more(cursor: str | None) -> None:
    """Say on stderr that a list goes on."""
    if cursor is not None:
        exits.say(f"There are more: --cursor {cursor}", exits.COMPLETED)


def labels_in(texts: Sequence[str]) -> dict[str, str]:
    """Read labels, written ``key=value`` or ``key:value``; raises as ``assignments``."""
    return assignments([text if "=" in text else text.replace(":", "=", 1) for text in texts])


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """Read ``key=value`` options.

    Raises:
        InvalidRequest: one of them is not written so.

    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise InvalidRequest(f"'{text}' is not written key=value.")
        found[key] = value
    return found
