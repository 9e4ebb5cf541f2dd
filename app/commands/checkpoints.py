"""``headway checkpoints``: what trainings have saved, and keeping it."""

from uuid import UUID

from cyclopts import App

from app.commands import exits
from app.commands.calls import connect, enough, on_each, tell_more
from app.commands.terminal import OutputOption, clean, print_json, print_table
from app.commands.wording import age, size
from schemas.checkpoint import Checkpoint, CheckpointPage
from schemas.states import CheckpointState

checkpoints = App(name="checkpoints", help="List checkpoints; pin and unpin them.")


@checkpoints.command(name="ls")
async def list_checkpoints(
    *,
    pipeline: UUID | None = None,
    task_id: UUID | None = None,
    stage: str | None = None,
    state: tuple[CheckpointState, ...] = (),
    limit: int = 20,
    cursor: str | None = None,
    output: OutputOption = "table",
) -> int:
    """List checkpoints, the newest first; all filters must match.

    Args:
        pipeline: Only those of the pipeline with this uuid.
        task_id: Only those of the stage with this task id.
        stage: Only those of the stage with this name; needs --pipeline.
        state: Only those in this state; may be repeated.
        limit: At most so many.
        cursor: Go on behind a list that said so.
        output: "json" prints the page as the API answers it.

    """
    async with connect() as client:
        page = await enough(
            lambda count, place: client.checkpoints.list(
                pipeline=pipeline, task_id=task_id, stage=stage, state=state, limit=count, cursor=place
            ),
            limit,
            cursor,
        )
    if output == "json":
        print_json(page)
    else:
        _draw(page)
        tell_more(page.next_cursor)
    return exits.COMPLETED


@checkpoints.command
async def pin(*numbers: int, output: OutputOption = "table") -> int:
    """Keep checkpoints, by their ids, whatever the rules of retention say."""
    async with connect() as client:
        return await on_each(numbers, output, client.checkpoints.pin, _told)


@checkpoints.command
async def unpin(*numbers: int, output: OutputOption = "table") -> int:
    """Let the rules decide about checkpoints again."""
    async with connect() as client:
        return await on_each(numbers, output, client.checkpoints.unpin, _told)


def _draw(page: CheckpointPage) -> None:
    rows = [
        (each.id, each.stage, each.step, _state(each), size(each.bytes), age(each.created_at), each.reason or each.path)
        for each in page.items
    ]
    print_table("id, stage, step, state, size, age, path", rows, flexible="stage, path")


def _state(each: Checkpoint) -> str:
    return f"{each.state}, pinned" if each.pinned else each.state


def _told(each: Checkpoint) -> str:
    return clean(f"{each.id} {_state(each)} {each.path}")
