"""Queues: what waits and runs in each."""

from app.db.pool import Connection
from app.db.queries import load
from schemas.queue import QUEUE_PRIORITY, QUEUES_BY_PRIORITY, QueueStatus

SQL = load("queues")


async def statuses(c: Connection) -> list[QueueStatus]:
    """All queues, in the order of their priority."""
    rows = {row["queue"]: row for row in await c.fetch(SQL["depths"])}
    found = []
    for name in QUEUES_BY_PRIORITY:
        row = rows.get(name)
        found.append(
            QueueStatus(
                name=name,
                priority=QUEUE_PRIORITY[name],
                paused=False,
                queued=row["queued"] if row else 0,
                running=row["running"] if row else 0,
                oldest_age_s=row["oldest_age_s"] if row else None,
            )
        )
    return found
