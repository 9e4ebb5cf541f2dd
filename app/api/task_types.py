"""``/api/v1/task-types``: what the workers of this installation can run."""

from litestar import get

from app.api.state import ApiState
from app.services import tasks
from schemas.task import TaskTypePage


@get("/api/v1/task-types", operation_id="listTaskTypes", summary="List task types", tags=["tasks"])
async def list_task_types(state: ApiState) -> TaskTypePage:
    """What workers have registered, with the JSON Schemas of params and result."""
    registered = await tasks.registered(state.pool)
    return TaskTypePage(items=[registered[name] for name in sorted(registered)], next_cursor=None)
