"""The verbs on many pipelines: which ones options mean, and the calls until none is left."""

from dataclasses import dataclass
from datetime import datetime

from cyclopts import Parameter
from msgspec import UNSET
from msgspec.structs import replace

from app.client import Client
from app.commands import exits
from app.commands.calls import labels_in
from app.commands.terminal import Output, print_json, print_line
from app.errors import InvalidRequest
from schemas.bulk import BulkItem, BulkRequest, BulkVerb, PipelineFilter
from schemas.states import PipelineStatus


@Parameter(name="*")
@dataclass(frozen=True)
class Which:
    """Pipelines by filter, instead of by uuid; all filters must match."""

    status: tuple[PipelineStatus, ...] = ()
    """Only these; may be repeated."""
    name: str | None = None
    """Only those of exactly this name."""
    label: tuple[str, ...] = ()
    """Only those with this label, key=value; may be repeated."""
    created_before: datetime | None = None
    """Only older ones: 2030-01-31T12:00:00, local time unless it says otherwise."""
    all: bool = False
    """Every one that the verb fits."""
    yes: bool = False
    """Do it; without this they are only counted."""

    def request(self) -> BulkRequest:
        """The body of the call."""
        meant = PipelineFilter(
            status=list(self.status) or UNSET,
            name=UNSET if self.name is None else self.name,
            labels=labels_in(self.label) or UNSET,
            created_before=UNSET if self.created_before is None else self.created_before.astimezone(),
        )
        return BulkRequest(filter=meant, all=self.all)


async def on_many(client: Client, verb: BulkVerb, which: Which, output: Output) -> int:
    """Do it to all of them and tell what became of each; a refusal of one does not keep the others from it.

    Raises:
        InvalidRequest: it was not said twice; the message says how many are meant.

    """
    request, code, count = which.request(), exits.COMPLETED, 0
    while True:
        answer = await client.pipelines.act(verb, request, dry_run=not which.yes)
        count += sum(item.ok for item in answer.items)
        if which.yes:
            code = code or (exits.COMPLETED if all(item.ok for item in answer.items) else exits.FAILED)
            _tell_all(verb, answer.items, output)
        if answer.next_cursor is None:
            break
        request = replace(request, cursor=answer.next_cursor)
    if not which.yes:
        raise InvalidRequest(f"This would {verb} {count} pipelines; repeat it with --yes.")
    return code


def _tell_all(verb: BulkVerb, items: list[BulkItem], output: Output) -> None:
    for item in items:
        if output == "json":
            print_json(item)
        elif item.problem is not None:
            exits.say(f"{item.uuid}: {item.problem.detail}", exits.FAILED)
        else:
            print_line(f"{item.uuid} {'deleted' if verb is BulkVerb.DELETE else item.status}")
