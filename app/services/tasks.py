"""Tasks: the types that workers can run, and stages seen on their own."""

from collections.abc import Iterable, Sequence
from typing import Annotated, TypeVar
from uuid import UUID

from msgspec import Meta, Struct
from msgspec.structs import astuple

from app.core.cursor import read_cursor, write_cursor
from app.db import tasks as db
from app.db.pool import Pool, connection
from app.errors import Conflict, NotFound
from app.services.pipelines import waiting_reason
from schemas import limits
from schemas.queue import Queue
from schemas.states import STAGE_TERMINAL, StageStatus
from schemas.task import Task, TaskPage, TaskPlace, TaskResult, TaskSummary, TaskType


class Cursor(Struct, frozen=True, array_like=True):
    """The last task of a page."""

    pipeline_id: Annotated[int, Meta(ge=0, le=db.LAST[0])]
    position: Annotated[int, Meta(ge=0, le=db.LAST[1])]


T = TypeVar("T", bound=TaskSummary)


async def register(pool: Pool, task_types: Iterable[TaskType]) -> None:
    """Tell the installation what a worker can run; the newest registration of a name counts."""
    async with connection(pool) as c:
        await db.register(c, task_types)


async def registered(pool: Pool, project: str = "default") -> dict[str, TaskType]:
    """Every task type, by name."""
    async with connection(pool) as c:
        return {task_type.name: task_type for task_type in await db.registered(c, project)}


async def list_page(
    pool: Pool,
    *,
    statuses: Sequence[StageStatus] | None = None,
    task: str | None = None,
    queue: Queue | None = None,
    pipeline: UUID | None = None,
    cursor: str | None = None,
    limit: int = limits.PAGE_DEFAULT,
) -> TaskPage:
    """One page of tasks, those of the newest pipelines first. It costs the same however long the history is.

    Raises:
        InvalidRequest: the cursor is none of ours.

    """
    after = db.LAST if cursor is None else astuple(read_cursor(cursor, Cursor))
    async with connection(pool) as c:
        number = None if pipeline is None else await db.pipeline_id(c, pipeline)
        if pipeline is not None and number is None:
            return TaskPage(items=[], next_cursor=None)
        selection = db.Selection(statuses=statuses, task=task, queue=queue, pipeline_id=number)
        found, more = await db.page(c, selection, after, limit)
    items = [_explained(each.task, each.pipeline_status, each.awaited) for each in found]
    return TaskPage(items=items, next_cursor=None if more is None else write_cursor(more))


async def get(pool: Pool, task: UUID) -> Task:
    """Everything about one task.

    Raises:
        NotFound: no such task.

    """
    async with connection(pool) as c:
        found = await db.get(c, task)
    if found is None:
        raise _unknown(task)
    return _explained(*found)


async def result(pool: Pool, task: UUID) -> TaskResult:
    """How a task ended.

    Raises:
        NotFound: no such task.
        Conflict: it has not ended.

    """
    async with connection(pool) as c:
        found = await db.result(c, task)
    if found is None:
        raise _unknown(task)
    if found.status not in STAGE_TERMINAL:
        raise Conflict(f"The task is {found.status}; its result can be read when it has ended.", state=found.status)
    return found


async def place(pool: Pool, task: UUID) -> TaskPlace:
    """Where a task is in its life.

    Raises:
        NotFound: no such task.

    """
    async with connection(pool) as c:
        found = await db.place(c, task)
    if found is None:
        raise _unknown(task)
    return found


def _explained(task: T, pipeline_status: str, awaited: frozenset[str]) -> T:
    task.waiting_reason = waiting_reason(task, set(task.depends_on) - awaited, pipeline_status)
    return task


def _unknown(task: UUID) -> NotFound:
    return NotFound(f"There is no task {task}.")
