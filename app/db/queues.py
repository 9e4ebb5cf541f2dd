"""Queues: what waits and runs in each; pause and resume."""

from app.db.pool import Connection
from app.db.queries import load
from schemas.queue import QUEUE_PRIORITY, QUEUES_BY_PRIORITY, Queue, QueueStatus

SQL = load("queues")


async def pause(c: Connection, queue: Queue, *, paused: bool) -> None:
    """Hold back the stages of a queue, or let them go."""
    await c.execute(SQL["pause"], queue, paused)


async def statuses(c: Connection) -> list[QueueStatus]:
    """All queues, in the order of their priority."""
    rows = {row["queue"]: row for row in await c.fetch(SQL["depths"])}
    paused = await c.fetchval(SQL["paused"])
    found = []
    for name in QUEUES_BY_PRIORITY:
        row = rows.get(name)
        found.append(
            QueueStatus(
                name=name,
                priority=QUEUE_PRIORITY[name],
                paused=name in paused,
                queued=row["queued"] if row else 0,
                running=row["running"] if row else 0,
                oldest_age_s=row["oldest_age_s"] if row else None,
            )
        )
    return found
