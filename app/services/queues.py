"""Queues: how full they are."""

from app.db import queues as db
from app.db.pool import Pool, connection
from schemas.queue import QueueStatus


async def statuses(pool: Pool) -> list[QueueStatus]:
    """All queues, in the order in which workers serve them."""
    async with connection(pool) as c:
        return await db.statuses(c)
