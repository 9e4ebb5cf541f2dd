"""Pruning: pipelines that ended long ago, and what deleted ones have left on disk."""

from datetime import datetime
from uuid import UUID

from app.db.pool import Connection
from app.db.queries import load

SQL = load("pruning")


async def ended(c: Connection, before: datetime, after: int, limit: int) -> tuple[list[UUID], int | None]:
    """Pipelines that ended before then, from behind the number ``after``, and behind which to go on; None at the end.

    ``limit`` are looked at; those with a pinned checkpoint are left out.
    """
    row = await c.fetchrow(SQL["ended"], before, after, limit)
    assert row is not None
    return row["ended"], None if row["young"] else row["last"]


async def prune(c: Connection, pipeline: UUID, ended_before: datetime) -> bool:
    """Delete it, if it still is to go and nobody is at it; whether it was."""
    pruned: bool = await c.fetchval(SQL["prune"], pipeline, ended_before)
    return pruned


async def left(c: Connection, after: UUID) -> UUID | None:
    """The next deleted pipeline behind ``after`` whose artifacts may lie on disk still; None at the end."""
    found: UUID | None = await c.fetchval(SQL["left"], after)
    return found


async def removed(c: Connection, pipeline: UUID) -> None:
    """Nothing of it lies on disk any more."""
    await c.execute(SQL["removed"], pipeline)
