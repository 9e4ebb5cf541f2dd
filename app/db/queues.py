"""Queues: pause and resume, and what waits and runs in each."""

from app.db.pool import Connection
from app.db.queries import load
from schemas.queue import QUEUE_PRIORITY, QUEUES_BY_PRIORITY, Queue, QueueStatus

SQL = load("queues")


async def pause(c: Connection, queue: Queue, *, paused: bool) -> None:
    """Hold back the stages of a queue, or let them go."""
    await c.execute(SQL["pause"], queue, paused)


async def paused(c: Connection) -> frozenset[Queue]:
    """The queues whose stages are held back."""
    return frozenset(map(Queue, await c.fetchval(SQL["paused"])))


async def statuses(c: Connection) -> list[QueueStatus]:
    """All queues, in the order of their priority."""
    held_back = await paused(c)
    depths = {row["queue"]: dict(row) for row in await c.fetch(SQL["depths"])}
    empty = {"queued": 0, "running": 0, "oldest_age_s": None}
    return [
        QueueStatus(
            name=queue,
            priority=QUEUE_PRIORITY[queue],
            paused=queue in held_back,
            **{name: depths.get(queue, empty)[name] for name in empty},
        )
        for queue in QUEUES_BY_PRIORITY
    ]
