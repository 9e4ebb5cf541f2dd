"""Two things at once, made certain: hold a lock, let them queue up behind it, let it go."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from app.db.pool import Connection, Pool
from tests.support.pipelines import Submitted

WAITING = """
SELECT count(*) >= $1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"""


@asynccontextmanager
async def held(pool: Pool, *pipelines: Submitted) -> AsyncIterator[Connection]:
    """A client that has locked these pipelines and sits on them until the block ends."""
    ids = [pipeline.id for pipeline in pipelines]
    async with pool.acquire() as c, c.transaction():
        await c.execute("SELECT FROM pipelines WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE", ids)
        yield c


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when it holds; for what happens in another process, where no event can be set."""
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until_waiting(pool: Pool, count: int) -> None:
    """Return when so many connections wait for a lock."""
    await until(lambda: pool.fetchval(WAITING, count))


async def at_once(pool: Pool, pipeline: Submitted, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """Let the calls meet at the lock of a pipeline, then let them all go."""
    async with held(pool, pipeline):
        running = [asyncio.create_task(call) for call in calls]
        await until_waiting(pool, len(calls))
    return await asyncio.gather(*running)
