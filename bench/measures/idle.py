"""What an installation costs that has nothing to do: processor, Postgres and Redis."""

import asyncio
import time

from app.db.pool import open_session
from app.queue import open_redis
from bench.headway import Installation
from bench.processes import below, between, spent

SETTLE_S = 5.0
DURATION_S = 30.0


def measure(installation: Installation) -> dict[str, float]:
    """Over half a minute: share of one core, transactions and commands per second."""
    roots = (installation.process.pid, installation.postgres.pid, installation.valkey.pid)
    time.sleep(SETTLE_S)
    before, counted = spent(below(roots)), asyncio.run(_counts(installation))
    started = time.perf_counter()
    time.sleep(DURATION_S)
    took_s = time.perf_counter() - started
    after, now = spent(below(roots)), asyncio.run(_counts(installation))
    return {
        "% of one core": 100 * between(before, after).ran_s / took_s,
        "Postgres transactions/s": (now[0] - counted[0]) / took_s,
        "Redis commands/s": (now[1] - counted[1]) / took_s,
    }


async def _counts(installation: Installation) -> tuple[int, int]:
    session = await open_session(installation.postgres.url)
    redis = open_redis(installation.valkey.url)
    try:
        await session.execute("SELECT pg_stat_clear_snapshot()")
        transactions = await session.fetchval("SELECT sum(xact_commit + xact_rollback)::bigint FROM pg_stat_database")
        return transactions, int((await redis.info("stats"))["total_commands_processed"])
    finally:
        await session.close()
        await redis.aclose()
