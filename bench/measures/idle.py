"""What an installation costs that has nothing to do: processor, Postgres and Redis."""

import asyncio
import time
from pathlib import Path

from app.db.pool import open_session
from app.queue import open_redis
from bench.headway import Installation

SETTLE_S = 5.0
DURATION_S = 30.0
NANOSECONDS = 1e9


def measure(installation: Installation) -> dict[str, float]:
    """Over half a minute: share of one core, transactions and commands per second."""
    roots = (installation.process.pid, installation.postgres.pid, installation.valkey.pid)
    time.sleep(SETTLE_S)
    before, counted = _cpu_s(roots), asyncio.run(_counts(installation))
    started = time.perf_counter()
    time.sleep(DURATION_S)
    took_s = time.perf_counter() - started
    after, now = _cpu_s(roots), asyncio.run(_counts(installation))
    used_s = sum(after[pid] - before.get(pid, 0) for pid in after)
    return {
        "% of one core": 100 * used_s / took_s,
        "Postgres transactions/s": (now[0] - counted[0]) / took_s,
        "Redis commands/s": (now[1] - counted[1]) / took_s,
    }


def _cpu_s(roots: tuple[int, ...]) -> dict[int, float]:
    """Processor time of these processes and all below them."""
    parents = {int(path.name): int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1]) for path in _all()}
    wanted = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in wanted} - wanted:
        wanted |= more
    return {pid: _own_cpu_s(pid) for pid in wanted}


def _all() -> list[Path]:
    return [path for path in Path("/proc").iterdir() if path.name.isdigit() and path.joinpath("stat").exists()]


def _own_cpu_s(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / NANOSECONDS


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
