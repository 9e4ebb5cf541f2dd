"""``headway events``: what happens to all pipelines, as it happens."""

from app.commands import exits
from app.commands.calls import connect, labels_in
from app.commands.lines import told
from app.commands.terminal import OutputOption, print_json, print_line
from schemas.event import Event
from schemas.states import PipelineStatus


async def events(
    *,
    type: tuple[str, ...] = (),  # noqa: A002 - an option
    status: tuple[PipelineStatus, ...] = (),
    label: tuple[str, ...] = (),
    after: str | None = None,
    output: OutputOption = "table",
) -> int:
    """Print the events of all pipelines from now on, until Ctrl-C; all filters must match.

    Args:
        type: Only these, such as pipeline.failed; may be repeated.
        status: Only those after which their pipeline has this status; may be repeated.
        label: Only of pipelines with this label, key=value; may be repeated.
        after: Go on behind this cursor of an event, or with "begin" print all that is kept first.
        output: "json" prints each with its cursor.

    """
    async with connect() as client:
        seen = client.events.watch(after=after, types=type, status=status, labels=labels_in(label))
        async for each in seen:
            if output == "json":
                print_json(each)
            elif each.event.id is not None:
                print_line(_line(each.event))
    return exits.COMPLETED


def _line(event: Event) -> str:
    pipeline = event.source.rpartition("/")[2]
    return f"{event.time.astimezone():%H:%M:%S} {pipeline} {event.subject or 'pipeline'} {told(event)}"
