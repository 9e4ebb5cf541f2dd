"""Tasks as clients control them: cancel and retry one stage on its own, purge what is queued."""

from uuid import UUID

from app.db import pipelines as db_pipelines
from app.db import stages as db
from app.db.pool import Pool, connection
from app.errors import Conflict, NotFound
from schemas.queue import Queue
from schemas.stage import Hint, Transition

PURGE_BATCH = 100


async def cancel(pool: Pool, task: UUID) -> Transition:
    """→ cancelled: at once if it waits, by its worker if it runs. Twice is no error while it runs.

    Raises:
        NotFound: no such task.
        Conflict: it has ended, or its pipeline has not been started.

    """
    async with connection(pool) as c:
        return _accepted(await db.cancel(c, task), task, "cancelled")


async def retry(pool: Pool, task: UUID) -> Transition:
    """failed | cancelled → pending, with all that waits for it; its pipeline runs again.

    Raises:
        NotFound: no such task.
        Conflict: it, or its pipeline, has neither failed nor been cancelled.

    """
    async with connection(pool) as c:
        pipeline = await db.pipeline_of(c, task)
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
        now = await db.now(c)
        while pipelines := await db.pipelines_with_queued(c, queue, now, PURGE_BATCH):
            answer = await db.purge(c, pipelines, queue, wait=False)
            for locked in answer.locked:
                late = await db.purge(c, [locked], queue, wait=True)
                purged, hints = purged + late.purged, hints + late.hints
            purged, hints = purged + answer.purged, hints + answer.hints
            if not answer.purged and answer.locked:
                break  # somebody holds on to the rest
    return purged, Transition(hints=hints)


def _accepted(verdict: db_pipelines.Verdict | None, task: UUID, participle: str) -> Transition:
    if verdict is None:
        raise _unknown(task)
    if verdict.refused is not None:
        raise Conflict(f"The task is {verdict.refused} and cannot be {participle}.", state=verdict.refused)
    return verdict


def _unknown(task: UUID) -> NotFound:
    return NotFound(f"There is no task {task}.")
