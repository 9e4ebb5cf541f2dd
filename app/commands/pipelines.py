"""``headway pipelines``: look at pipelines, and the verbs on them."""

from datetime import datetime
from uuid import UUID

from cyclopts import App

from app.commands import exits
from app.commands.calls import assignments, connect, enough, on_each, tell_more
from app.commands.drawing import draw_pipeline, draw_pipelines
from app.commands.follow import detachable, watch
from app.commands.terminal import OutputOption, print_json
from schemas.pipeline import Pipeline
from schemas.states import PipelineStatus

pipelines = App(name="pipelines", help="List, show, watch, start, cancel, retry, pause, resume and delete pipelines.")


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
    labels = assignments([text if "=" in text else text.replace(":", "=", 1) for text in label])
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
async def cancel(*uuids: UUID, output: OutputOption = "table") -> int:
    """Start nothing of them any more, and stop what runs."""
    async with connect() as client:
        return await on_each(uuids, output, client.pipelines.cancel, _told)


@pipelines.command
async def retry(*uuids: UUID, output: OutputOption = "table") -> int:
    """Go on where they failed or were cancelled; what has completed is kept."""
    async with connect() as client:
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
async def remove(*uuids: UUID, output: OutputOption = "table") -> int:
    """Delete pipelines that have ended or were never started, their artifacts with them."""
    async with connect() as client:

        async def delete(uuid: UUID) -> dict[str, UUID]:
            await client.pipelines.delete(uuid)
            return {"deleted": uuid}

        return await on_each(uuids, output, delete, lambda answer: f"{answer['deleted']} deleted")


def _told(pipeline: Pipeline) -> str:
    return f"{pipeline.uuid} {pipeline.status}"
