"""Periodic tasks: each slot is one row, so it runs once however many workers ask."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.db import periodic as db
from app.db.pool import Pool, connection
from schemas.periodic import PeriodicTask, SlotOutcome, TakenSlot


async def take(pool: Pool, worker: UUID, tasks: Mapping[str, tuple[int, float]]) -> list[TakenSlot]:
    """Take what is due of these tasks; they are this worker's to run, and to finish within their lease.

    ``tasks`` has the interval and the lease of each by name, in seconds.
    """
    async with connection(pool) as c:
        return await db.take(c, worker, tasks)


async def finish(
    pool: Pool,
    worker: UUID,
    taken: TakenSlot,
    outcome: SlotOutcome,
    *,
    done: int | None = None,
    error: Mapping[str, Any] | None = None,
) -> None:
    """Say how a slot ended; one that was given up in the meantime stays so."""
    async with connection(pool) as c:
        await db.finish(c, worker, taken, outcome, done=done, error=error)


async def every(pool: Pool) -> list[PeriodicTask]:
    """All periodic tasks, with their last run and their next."""
    async with connection(pool) as c:
        return await db.every(c)


async def prune(pool: Pool, kept_s: float) -> int:
    """Forget runs that are older than so many seconds; return how many."""
    async with connection(pool) as c:
        return await db.prune(c, kept_s)
