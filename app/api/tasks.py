"""``/api/v1/tasks``: stages seen on their own."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get
from litestar.params import FromPath, FromQuery, QueryParameter

from app.api import task_control
from app.api.logs import get_task_logs
from app.api.series import list_task_metrics
from app.api.state import ApiState
from app.api.stats import get_stats_overview
from app.services import tasks
from schemas import limits
from schemas.queue import Queue
from schemas.states import StageStatus
from schemas.task import Task, TaskPage, TaskResult

TaskId = FromPath[UUID]


@get("/", operation_id="listTasks", summary="List tasks")
async def list_tasks(
    state: ApiState,
    *,
    status: FromQuery[list[StageStatus] | None] = None,
    task: Annotated[str | None, QueryParameter(description="the name of a task type")] = None,
    queue: FromQuery[Queue | None] = None,
    pipeline: Annotated[UUID | None, QueryParameter(description="the uuid of a pipeline")] = None,
    cursor: Annotated[str | None, QueryParameter(max_length=200, description="next_cursor of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=limits.PAGE_MAX)] = limits.PAGE_DEFAULT,
) -> TaskPage:
    """Every stage of every pipeline, those of the newest pipelines first; all filters must match.

    A page that had to look at very many tasks, or is very large, is short; the last one is that without a next_cursor.
    """
    return await tasks.list_page(
        state.pool, statuses=status, task=task, queue=queue, pipeline=pipeline, cursor=cursor, limit=limit
    )


@get("/{task_id:uuid}", operation_id="getTask", summary="Look at a task")
async def get_task(state: ApiState, task_id: TaskId) -> Task:
    """Everything about one task, its attempts too. Its ``task_id`` is the one that its pipeline names it by."""
    return await tasks.get(state.pool, task_id)


@get("/{task_id:uuid}/result", operation_id="getTaskResult", summary="Read the result of a task")
async def get_task_result(state: ApiState, task_id: TaskId) -> TaskResult:
    """How the task ended: its result, or its error; 409 while it has not ended."""
    return await tasks.result(state.pool, task_id)


router = Router(
    "/api/v1/tasks",
    route_handlers=[
        *task_control.handlers,
        list_tasks,
        get_stats_overview,
        get_task,
        get_task_result,
        get_task_logs,
        list_task_metrics,
    ],
    tags=["tasks"],
)
