"""Tasks: the types that workers can run, and stages seen, cancelled and retried on their own."""

from collections.abc import Container, Iterable, Sequence
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct
from msgspec.structs import astuple

from app.core.cursor import read_cursor, write_cursor
from app.core.waiting import waiting_reason
from app.db import pipelines as db_pipelines
from app.db import queues as db_queues
from app.db import stages as db_stages
from app.db import tasks as db
from app.db.pool import Pool, connection
from app.errors import Conflict, NotFound
from schemas import limits
from schemas.queue import Queue
from schemas.stage import Hint, Transition
from schemas.states import STAGE_TERMINAL, StageStatus
from schemas.task import Task, TaskPage, TaskPlace, TaskResult, TaskSummary, TaskType


class Cursor(Struct, frozen=True, array_like=True):
    """The last task of a page."""

    pipeline_id: Annotated[int, Meta(ge=0, le=db.LAST[0])]
    position: Annotated[int, Meta(ge=0, le=db.LAST[1])]


PURGE_BATCH = 100


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
        paused = await db_queues.paused(c)
    for each in found:
        _explain(each, paused)
    return TaskPage(items=[each.task for each in found], next_cursor=None if more is None else write_cursor(more))


async def get(pool: Pool, task: UUID) -> Task:
    """Everything about one task.

    Raises:
        NotFound: no such task.

    """
    async with connection(pool) as c:
        found = await db.get(c, task)
        paused = await db_queues.paused(c)
    if found is None:
        raise _unknown(task)
    _explain(found, paused)
    return found.task


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
        raise Conflict(f"The task is {found.status}; its result can be read when it has ended.")
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


async def cancel(pool: Pool, task: UUID) -> Transition:
    """→ cancelled: at once if it waits, by its worker if it runs. Twice is no error while it runs.

    Raises:
        NotFound: no such task.
        Conflict: it has ended, or its pipeline has not been started.

    """
    async with connection(pool) as c:
        return _accepted(await db_stages.cancel(c, task), task, "cancelled")


async def retry(pool: Pool, task: UUID) -> Transition:
    """failed | cancelled → pending, with all that waits for it; its pipeline runs again.

    Raises:
        NotFound: no such task.
        Conflict: it, or its pipeline, has neither failed nor been cancelled.

    """
    async with connection(pool) as c:
        pipeline = await db_stages.pipeline_of(c, task)
        if pipeline is None:
            raise _unknown(task)
        verdict = await db_pipelines.retry(c, pipeline, task)
    return _accepted(
        verdict, task, "retried: a task can be when it has failed or was cancelled, and so has its pipeline"
    )


async def purge(pool: Pool, queue: Queue | None) -> tuple[int, Transition]:
    """Cancel all that is queued now, on one queue or on any, never what runs; return how many that were."""
    purged, hints = 0, list[Hint]()
    async with connection(pool) as c:
        now = await db_stages.now(c)
        while pipelines := await db_stages.pipelines_with_queued(c, queue, now, PURGE_BATCH):
            answer = await db_stages.purge(c, pipelines, queue, wait=False)
            for locked in answer.locked:
                late = await db_stages.purge(c, [locked], queue, wait=True)
                purged, hints = purged + late.purged, hints + late.hints
            purged, hints = purged + answer.purged, hints + answer.hints
            if not answer.purged and answer.locked:
                break  # somebody holds on to the rest
    return purged, Transition(hints=hints)


def _explain(found: db.Found[Any], paused: Container[str]) -> None:
    task: TaskSummary = found.task
    ended = set(task.depends_on) - found.awaited
    task.waiting_reason = waiting_reason(task, ended, found.pipeline_status, paused)


def _accepted(verdict: db_pipelines.Verdict | None, task: UUID, participle: str) -> Transition:
    if verdict is None:
        raise _unknown(task)
    if verdict.refused is not None:
        raise Conflict(f"The task is {verdict.refused} and cannot be {participle}.", status=verdict.refused)
    return verdict


def _unknown(task: UUID) -> NotFound:
    return NotFound(f"There is no task {task}.")
