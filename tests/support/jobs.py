"""Jobs for tests of the queue, without a pipeline behind them."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from app.queue import Job, JobQueue
from schemas.queue import QUEUES_BY_PRIORITY, Queue, Slot
from schemas.stage import QueuedStage

LEARN = "learn"


def a_job(
    queue: Queue = Queue.DEFAULT,
    *,
    age_s: float = 0,
    priority: int = 5,
    slot: Slot = Slot.INLINE,
    task: str = "noop",
) -> QueuedStage:
    """A stage that was queued so many seconds ago."""
    return QueuedStage(uuid4(), 1, task, queue, slot, priority, datetime.now(UTC) - timedelta(seconds=age_s))


async def pop(queue: JobQueue, count: int = 100, slot: Slot = Slot.INLINE) -> list[Job]:
    """What a worker with so many free slots gets, from all queues; it knows the task of the API's tests."""
    return await queue.claim({slot: count}, QUEUES_BY_PRIORITY, [LEARN])


async def popped(queue: JobQueue, count: int = 100) -> list:
    """The same, as the stages that the jobs name."""
    return [job.stage for job in await pop(queue, count)]
