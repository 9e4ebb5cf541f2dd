"""Transactions that append events, and stay open for as long as the test wants."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from app.db.pool import Connection, Pool

LOCK = "SELECT FROM pipelines WHERE uuid = $1 FOR NO KEY UPDATE"
APPEND = """
SELECT append_events(array_agg(ROW (id, 'stage.started', 'a', json_build_object('fill', $3::text))::new_event),
                     clock_timestamp())
  FROM pipelines, generate_series(1, $2) WHERE uuid = $1"""


@dataclass
class Writer:
    """One open transaction; it locks pipelines and appends to them as the protocol does."""

    c: Connection

    async def take_id(self) -> None:
        """Take a transaction id, as a first write does."""
        await self.c.execute("SELECT pg_current_xact_id()")

    async def append(self, pipeline: UUID, count: int = 1, fill: str = "") -> None:
        """Append events to a pipeline."""
        await self.c.execute(LOCK, pipeline)
        await self.c.execute(APPEND, pipeline, count, fill)


@asynccontextmanager
async def writing(pool: Pool) -> AsyncIterator[Writer]:
    """A transaction that commits when the block ends."""
    async with pool.acquire() as c, c.transaction():
        yield Writer(c)


async def append(pool: Pool, pipeline: UUID, count: int = 1, fill: str = "") -> None:
    """Append events in a transaction of their own."""
    async with writing(pool) as writer:
        await writer.append(pipeline, count, fill)
