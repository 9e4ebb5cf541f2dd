"""Follow a pipeline to its end: what ``submit --watch``, ``submit --wait``, ``pipelines watch`` and ``demo`` share."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID

from rich.live import Live

from app.client import Client
from app.commands import exits, hints
from app.commands.board import Board
from app.commands.drawing import draw_logs
from app.commands.lines import Lines
from app.commands.terminal import Output, console, print_json, print_line
from app.commands.wording import message_of
from schemas.event import Event
from schemas.pipeline import Pipeline
from schemas.states import PIPELINE_TERMINAL


async def follow(client: Client, uuid: UUID, show: Callable[[Event], None]) -> Pipeline:
    """Show every event of a pipeline from its first on, and return it as it is at its end."""
    after = 0
    while True:
        async for event in client.pipelines.watch(uuid, after):
            after = int(event.id or after)
            show(event)
        # What counts is what is stored now: an explicit retry may have revived it.
        pipeline = await client.pipelines.get(uuid)
        if pipeline.status in PIPELINE_TERMINAL:
            return pipeline


async def watch(client: Client, uuid: UUID, output: Output, timeout_s: float | None = None) -> int:
    """Draw a pipeline until it has ended; return the exit code.

    On a terminal that is a live table, elsewhere a line per change; as JSON, a line per event.
    """
    screen = console()
    with ExitStack() as stack:
        show: Callable[[Event], None] = print_json
        if output == "table" and screen.is_terminal:
            board = Board.of(await client.pipelines.get(uuid))
            show = board.apply
            stack.enter_context(Live(board, console=screen, refresh_per_second=8))
        elif output == "table":
            show = Lines().show
        pipeline = await until(client, uuid, show, timeout_s)
    if pipeline is None:
        return timed_out(uuid, timeout_s)
    if output == "table":
        draw_logs(pipeline)
        print_line(ending(pipeline))
    return exits.of_end(pipeline.status)


async def submitted(
    client: Client, pipeline: Pipeline, output: Output, *, watch_it: bool, wait_for_it: bool, timeout_s: float | None
) -> int:
    """Tell which pipeline it has become, and stay with it as far as that was asked for; return the exit code."""
    if output == "table":
        print_line(str(pipeline.uuid))
    elif not watch_it:
        print_json(pipeline)
    with detachable(pipeline.uuid):
        if watch_it:
            return await watch(client, pipeline.uuid, output, timeout_s)
        return await wait(client, pipeline.uuid, timeout_s) if wait_for_it else exits.COMPLETED


async def wait(client: Client, uuid: UUID, timeout_s: float | None) -> int:
    """Wait in silence until a pipeline has ended; say why it did not complete, and return the exit code."""
    pipeline = await until(client, uuid, lambda _: None, timeout_s)
    if pipeline is None:
        return timed_out(uuid, timeout_s)
    code = exits.of_end(pipeline.status)
    return code if code == exits.COMPLETED else exits.say(ending(pipeline), code)


async def until(client: Client, uuid: UUID, show: Callable[[Event], None], timeout_s: float | None) -> Pipeline | None:
    """Follow for at most ``timeout_s``; None when that was not enough."""
    try:
        async with asyncio.timeout(timeout_s):
            return await follow(client, uuid, show)
    except TimeoutError:
        return None


@contextmanager
def detachable(uuid: UUID) -> Iterator[None]:
    """At Ctrl-C, say that the pipeline runs on, and how to come back to it."""
    try:
        yield
    except asyncio.CancelledError:
        exits.say(f"Detached; the pipeline runs on. {_again(uuid)}", exits.DETACHED)
        raise


def timed_out(uuid: UUID, timeout_s: float | None) -> int:
    """Say that the wait was over before the pipeline was."""
    return exits.say(f"Not done after {timeout_s:g} s; the pipeline runs on. {_again(uuid)}", exits.TIMED_OUT)


def ending(pipeline: Pipeline) -> str:
    """Write how a pipeline ended, in a line."""
    why = f": {message_of(pipeline.error)}" if pipeline.error else ""
    return f"Pipeline {pipeline.uuid} {pipeline.status}{why}"


def _again(uuid: UUID) -> str:
    return f"Watch it with: {hints.command()} pipelines watch {uuid}"
