"""Queues: how full they are; pause and resume them."""

from app.db import queues as db
from app.db import stages as db_stages
from app.db.pool import Pool, connection
from schemas.queue import Queue, QueueStatus
from schemas.stage import QueuedStage

DISPATCHED_AT_ONCE = 1_000


async def pause(pool: Pool, queue: Queue) -> None:
    """Hold back its stages: they are neither dispatched nor claimed, and what runs goes on. Twice is no error.

    A claim that is under way at this moment may still start its stage.
    """
    async with connection(pool) as c:
        await db.pause(c, queue, paused=True)


async def resume(pool: Pool, queue: Queue) -> list[QueuedStage]:
    """Let its stages go; return the oldest of them, to be dispatched now. The dispatcher brings the rest."""
    async with connection(pool) as c:
        await db.pause(c, queue, paused=False)
        return await db_stages.queued_after(c, db_stages.FIRST, min_age_s=-1, limit=DISPATCHED_AT_ONCE)


async def statuses(pool: Pool) -> list[QueueStatus]:
    """All queues, in the order in which workers serve them."""
    async with connection(pool) as c:
        return await db.statuses(c)
