"""Whether a stage costs more in a large pipeline."""

import asyncio
import time
from statistics import median

from app.db.pool import open_session
from bench.headway import Installation
from bench.workloads import diamonds

SIZES = (12, 100, 1_000, 10_000)
TOTAL = 10_000
RUNS = 5
POLL_S = 0.01
RUNNING = "SELECT count(*) FROM pipelines WHERE name = $1 AND finished_at IS NULL"


def measure(installation: Installation) -> dict[str, float]:
    """Milliseconds a stage of ten thousand stages in pipelines of these sizes, from the first start to the last end."""
    return {
        f"{size:,} stages a pipeline: ms/stage": median(_run(installation, size) for _ in range(RUNS)) for size in SIZES
    }


def _run(installation: Installation, size: int) -> float:
    name = f"growth-{size}-{time.time_ns()}"
    stages = [{"name": s, "task": "noop", "depends_on": waits} for s, waits in diamonds(size // 4).items()]
    body = {"name": name, "stages": stages, "start": True}
    count = TOTAL // size
    started = time.perf_counter()
    for _ in range(count):
        installation.client.post("/api/v1/pipelines", json=body).raise_for_status()
    asyncio.run(_ended(installation.postgres.url, name))
    return 1_000 * (time.perf_counter() - started) / (count * size)


async def _ended(url: str, name: str) -> None:
    session = await open_session(url)
    try:
        while await session.fetchval(RUNNING, name):  # noqa: ASYNC110 - another process ends them
            await asyncio.sleep(POLL_S)
    finally:
        await session.close()
