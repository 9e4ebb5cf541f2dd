"""``headway pipelines``: look at pipelines, and stop them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from cyclopts import App, Parameter
from rich.table import Column, Table
from rich.text import Text

from app.commands import exits
from app.commands.follow import detachable, watch
from app.commands.plain import plain
from app.commands.running import open_client
from app.commands.terminal import Output, console, print_json
from app.commands.wording import duration
from app.settings import load_settings
from schemas.pipeline import Pipeline, PipelinePage
from schemas.stage import Stage
from schemas.states import PipelineStatus

OutputOption = Annotated[Output, Parameter(name=["--output", "-o"])]

pipelines = App(name="pipelines", help="List, show, watch and cancel pipelines.")


@pipelines.command(name="ls")
async def list_pipelines(
    *,
    status: tuple[PipelineStatus, ...] = (),
    limit: int = 20,
    output: OutputOption = "table",
) -> int:
    """List pipelines, newest first.

    Args:
        status: Only these; may be repeated.
        limit: At most so many, 1 to 200.
        output: "json" prints the page as the API answers it.

    """
    async with open_client(load_settings()) as client:
        page = await client.list(limit=limit, statuses=status)
    _print(page, output, _page_table(page))
    return exits.COMPLETED


@pipelines.command
async def show(uuid: UUID, /, *, output: OutputOption = "table") -> int:
    """Show a pipeline with its stages.

    Args:
        uuid: Which one.
        output: "json" prints everything.

    """
    async with open_client(load_settings()) as client:
        pipeline = await client.get(uuid)
    _print(pipeline, output, _stage_table(pipeline))
    return exits.COMPLETED


@pipelines.command(name="watch")
async def watch_pipeline(uuid: UUID, /, *, timeout: float | None = None, output: OutputOption = "table") -> int:  # noqa: ASYNC109 - an option
    """Show a pipeline until it has ended; the exit code is 0 completed, 1 failed, 3 cancelled.

    Args:
        uuid: Which one.
        timeout: Seconds to watch for; then the exit code is 124.
        output: "json" prints one event per line.

    """
    async with open_client(load_settings()) as client:
        with detachable(uuid):
            return await watch(client, uuid, output, timeout)


@pipelines.command
async def cancel(uuid: UUID, /, *, output: OutputOption = "table") -> int:
    """Start nothing of a pipeline any more, and stop what runs.

    Args:
        uuid: Which one.
        output: "json" prints the pipeline.

    """
    async with open_client(load_settings()) as client:
        pipeline = await client.cancel(uuid)
    _print(pipeline, output, f"{pipeline.uuid} {pipeline.status}")
    return exits.COMPLETED


def _print(answer: Pipeline | PipelinePage, output: Output, drawn: Table | str) -> None:
    if output == "json":
        print_json(answer)
    else:
        console().print(drawn)


def _page_table(page: PipelinePage) -> Table:
    uuid = Column("uuid", no_wrap=True)
    table = Table(uuid, "name", "status", "created", "took", box=None, pad_edge=False)
    for pipeline in page.items:
        took = _took_s(pipeline.started_at, pipeline.finished_at)
        created = f"{pipeline.created_at.astimezone():%Y-%m-%d %H:%M:%S}"
        table.add_row(str(pipeline.uuid), Text(plain(pipeline.name)), pipeline.status, created, duration(took))
    return table


def _stage_table(pipeline: Pipeline) -> Table:
    title = Text(f"{plain(pipeline.name)} {pipeline.uuid} {pipeline.status}")
    table = Table("stage", "task", "status", "attempt", "took", "why", title=title, box=None, pad_edge=False)
    for stage in pipeline.stages:
        took = duration(_took_s(stage.started_at, stage.finished_at))
        task, why = Text(plain(stage.task)), Text(plain(_why(stage)))
        table.add_row(stage.name, task, stage.status, str(stage.attempt or ""), took, why)
    return table


def _why(stage: Stage) -> str:
    return str(stage.error.get("message", "")) if stage.error else stage.waiting_reason or ""


def _took_s(started_at: datetime | None, finished_at: datetime | None) -> float | None:
    return (finished_at - started_at).total_seconds() if started_at and finished_at else None
