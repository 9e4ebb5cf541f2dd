"""Pace: how fast running stages get on. Reports bring what is new; once a minute the whole is counted."""

from app.db import pace as db
from app.db.pool import Pool, connection
from schemas.pace import RunningTotals


async def update_job_metrics(pool: Pool) -> int:
    """Find out which running stages have fallen silent, and count by task what runs and how fast.

    Call it once a minute or as often as you like. Returns how many stages run.
    """
    async with connection(pool) as c:
        return await db.update(c)


async def running_totals(pool: Pool, limit: int) -> list[RunningTotals]:
    """What ``update_job_metrics`` has counted last, of the ``limit`` tasks of which most runs."""
    async with connection(pool) as c:
        return await db.totals(c, limit)
