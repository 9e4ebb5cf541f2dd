"""``headway pipelines``: look at pipelines, and the verbs on them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from cyclopts import App

from app.client import Client
from app.commands import exits
from app.commands.bulk import Which, on_many
from app.commands.calls import connect, enough, labels_in, on_each, tell_more
from app.commands.drawing import draw_graph, draw_pipeline, draw_pipelines
from app.commands.follow import detachable, watch
from app.commands.terminal import Output, OutputOption, print_json
from app.errors import InvalidRequest
from schemas.bulk import BulkVerb
from schemas.pipeline import Pipeline, PipelinePatch
from schemas.states import PipelineStatus

pipelines = App(
    name="pipelines", help="List, show, watch, change, start, cancel, retry, pause, resume and delete pipelines."
)


@pipelines.command(name="ls")
async def list_pipelines(
    *,
    status: tuple[PipelineStatus, ...] = (),
    name: str | None = None,
    label: tuple[str, ...] = (),
    created_after: datetime | None = None,
    limit: int = 20,
    cursor: str | None = None,
    output: OutputOption = "table",
) -> int:
    """List pipelines, newest first; all filters must match.

    Args:
        status: Only these; may be repeated.
        name: Only those of exactly this name.
        label: Only those with this label, key=value; may be repeated.
        created_after: Only newer ones: 2030-01-31T12:00:00, local time unless it says otherwise.
        limit: At most so many.
        cursor: Go on behind a list that said so.
        output: "json" prints the page as the API answers it.

    """
    labels = labels_in(label)
    since = created_after and created_after.astimezone()
    async with connect() as client:
        page = await enough(
            lambda count, place: client.pipelines.list(
                status=status, name=name, labels=labels, created_after=since, limit=count, cursor=place
            ),
            limit,
            cursor,
        )
    if output == "json":
        print_json(page)
    else:
        draw_pipelines(page)
        tell_more(page.next_cursor)
    return exits.COMPLETED


@pipelines.command
async def show(uuid: UUID, /, *, output: OutputOption = "table") -> int:
    """Show a pipeline with its stages and their task ids.

    Args:
        uuid: Which one.
        output: "json" prints everything.

    """
    async with connect() as client:
        pipeline = await client.pipelines.get(uuid)
    if output == "json":
        print_json(pipeline)
    else:
        draw_pipeline(pipeline)
    return exits.COMPLETED


@pipelines.command
async def graph(uuid: UUID, /, *, output: OutputOption = "table") -> int:
    """Show who waits for whom, level by level.

    Args:
        uuid: Which one.
        output: "json" prints nodes, edges and levels.

    """
    async with connect() as client:
        found = await client.pipelines.graph(uuid)
    if output == "json":
        print_json(found)
    else:
        draw_graph(found)
    return exits.COMPLETED


@pipelines.command(name="set")
async def change(
    uuid: UUID,
    /,
    *,
    priority: int | None = None,
    name: str | None = None,
    description: str | None = None,
    label: tuple[str, ...] = (),
    output: OutputOption = "table",
) -> int:
    """Change a pipeline in any state; a new priority counts at once for what is queued.

    Args:
        uuid: Which one.
        priority: 1 to 10.
        name: What it is called.
        description: What it is for.
        label: key=value; may be repeated. They replace all that it has.
        output: "json" prints everything.

    """
    named = {"priority": priority, "name": name, "description": description, "labels": labels_in(label) or None}
    patch = PipelinePatch(**{field: value for field, value in named.items() if value is not None})  # type: ignore[arg-type]
    if patch == PipelinePatch():
        raise InvalidRequest("Say what to change: --priority, --name, --description or --label.")
    async with connect() as client:
        changed = await client.pipelines.patch(uuid, patch)
    if output == "json":
        print_json(changed)
    else:
        draw_pipeline(changed)
    return exits.COMPLETED


@pipelines.command(name="watch")
async def watch_pipeline(uuid: UUID, /, *, timeout: float | None = None, output: OutputOption = "table") -> int:  # noqa: ASYNC109 - an option
    """Show a pipeline until it has ended; the exit code is 0 completed, 1 failed, 3 cancelled.

    Args:
        uuid: Which one.
        timeout: Seconds to watch for; then the exit code is 124.
        output: "json" prints one event per line.

    """
    async with connect() as client:
        with detachable(uuid):
            return await watch(client, uuid, output, timeout)


@pipelines.command
async def start(*uuids: UUID, output: OutputOption = "table") -> int:
    """Start pipelines that were only created."""
    async with connect() as client:
        return await on_each(uuids, output, client.pipelines.start, _told)


@pipelines.command
async def cancel(*uuids: UUID, which: Which | None = None, output: OutputOption = "table") -> int:
    """Start nothing of them any more, and stop what runs."""
    async with connect() as client:
        if which:
            return await _by_filter(client, BulkVerb.CANCEL, which, uuids, output)
        return await on_each(uuids, output, client.pipelines.cancel, _told)


@pipelines.command
async def retry(*uuids: UUID, which: Which | None = None, output: OutputOption = "table") -> int:
    """Go on where they failed or were cancelled; what has completed is kept."""
    async with connect() as client:
        if which:
            return await _by_filter(client, BulkVerb.RETRY, which, uuids, output)
        return await on_each(uuids, output, client.pipelines.retry, _told)


@pipelines.command
async def pause(*uuids: UUID, output: OutputOption = "table") -> int:
    """Start nothing more of them until a resume; what runs finishes."""
    async with connect() as client:
        return await on_each(uuids, output, client.pipelines.pause, _told)


@pipelines.command
async def resume(*uuids: UUID, output: OutputOption = "table") -> int:
    """Start what has waited since the pause."""
    async with connect() as client:
        return await on_each(uuids, output, client.pipelines.resume, _told)


@pipelines.command(name="rm")
async def remove(*uuids: UUID, which: Which | None = None, output: OutputOption = "table") -> int:
    """Delete pipelines that have ended or were never started, their artifacts with them."""
    async with connect() as client:
        if which:
            return await _by_filter(client, BulkVerb.DELETE, which, uuids, output)

        async def delete(uuid: UUID) -> dict[str, UUID]:
            await client.pipelines.delete(uuid)
            return {"deleted": uuid}

        return await on_each(uuids, output, delete, lambda answer: f"{answer['deleted']} deleted")


async def _by_filter(client: Client, verb: BulkVerb, which: Which, uuids: Sequence[UUID], output: Output) -> int:
    if uuids:
        raise InvalidRequest("Name uuids or filters, not both.")
    return await on_many(client, verb, which, output)


def _told(pipeline: Pipeline) -> str:
    return f"{pipeline.uuid} {pipeline.status}"
