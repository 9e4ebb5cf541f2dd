"""``/api/v1/checkpoints``: what trainings have saved, and keeping it."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.params import FromPath, QueryParameter

from app.api.state import ApiState
from app.services import checkpoints
from schemas import limits
from schemas.checkpoint import Checkpoint, CheckpointPage
from schemas.states import CheckpointState


@get("/", operation_id="listCheckpoints", summary="List checkpoints")
async def list_checkpoints(
    state: ApiState,
    *,
    pipeline: Annotated[UUID | None, QueryParameter(description="the uuid of a pipeline")] = None,
    task_id: Annotated[UUID | None, QueryParameter(description="the id of a task, which is a stage")] = None,
    stage: Annotated[str | None, QueryParameter(description="the name of a stage of the pipeline")] = None,
    checkpoint_state: Annotated[
        list[CheckpointState] | None, QueryParameter(name="state", description="only in this state; repeatable")
    ] = None,
    cursor: Annotated[str | None, QueryParameter(max_length=200, description="next_cursor of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=limits.PAGE_MAX)] = limits.PAGE_DEFAULT,
) -> CheckpointPage:
    """What attempts have reported, newest first, the deleted ones too; all filters must match.

    ``reason`` says why one is invalid. A ``stage`` needs its ``pipeline``.
    """
    return await checkpoints.list_page(
        state.pool,
        pipeline=pipeline,
        task_id=task_id,
        stage=stage,
        states=checkpoint_state,
        cursor=cursor,
        limit=limit,
    )


@post("/{number:int}/pin", operation_id="pinCheckpoint", summary="Pin a checkpoint", status_code=200)
async def pin_checkpoint(state: ApiState, number: FromPath[int]) -> Checkpoint:
    """No clean-up deletes it any more. Twice is no error; 409 for one that is being deleted or is gone."""
    return await checkpoints.pin(state.pool, number)


@post("/{number:int}/unpin", operation_id="unpinCheckpoint", summary="Unpin a checkpoint", status_code=200)
async def unpin_checkpoint(state: ApiState, number: FromPath[int]) -> Checkpoint:
    """The rules decide about it again. Twice is no error."""
    return await checkpoints.pin(state.pool, number, pinned=False)


router = Router(
    "/api/v1/checkpoints",
    route_handlers=[list_checkpoints, pin_checkpoint, unpin_checkpoint],
    tags=["checkpoints"],
)
