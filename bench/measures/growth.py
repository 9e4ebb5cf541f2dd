"""Whether a stage costs more in a large pipeline, or beside a long history."""

import asyncio
import time
from statistics import median

from app.db.pool import open_session
from bench import headway
from bench.headway import Installation
from bench.measures import submit
from bench.workloads import WORKLOADS, diamonds

SIZES = (12, 100, 1_000, 10_000)
TOTAL = 10_000
RUNS = 5
POLL_S = 0.01
RUNNING = "SELECT count(*) FROM pipelines WHERE name = $1 AND finished_at IS NULL"
FILL = """
INSERT INTO pipelines (uuid, name, stage_count, open_stages, status, last_seq, created_at, started_at, finished_at)
SELECT gen_random_uuid(), 'old', 4, 0, 'completed', 4, now(), now(), now() FROM generate_series(1, {count});
INSERT INTO stages (pipeline_id, position, uuid, name, task, queue, slot, unmet, status, attempt, result, finished_at,
                    propagated)
SELECT p.id, n, gen_random_uuid(), 's' || n, 'noop', 'default', 'inline', 0, 'completed', 1, '{{}}', now(), true
  FROM pipelines AS p, generate_series(0, 3) AS n WHERE p.id > {behind} AND p.name = 'old';
INSERT INTO dependencies (pipeline_id, stage, depends_on)
SELECT p.id, n, n - 1 FROM pipelines AS p, generate_series(1, 3) AS n WHERE p.id > {behind} AND p.name = 'old';
INSERT INTO attempts (pipeline_id, position, attempt, lease_token, worker_id, started_at, outcome, finished_at)
SELECT pipeline_id, position, 1, uuid, uuid, now(), 'completed', now() FROM stages WHERE pipeline_id > {behind};
INSERT INTO events (pipeline_id, seq, type, subject, data, "time")
SELECT pipeline_id, position + 1, 'stage.completed', name, json_build_object('task_id', uuid, 'attempt', 1), now()
  FROM stages WHERE pipeline_id > {behind}"""
COUNT_THEM = "UPDATE stats_cursor SET place = settled_place()"


def of_pipelines(installation: Installation) -> dict[str, float]:
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


def of_history(installation: Installation, lengths: tuple[int, ...]) -> dict[str, float]:
    """The same work beside so many finished pipelines of four stages."""
    told: dict[str, float] = {}
    so_far = 0
    for length in lengths:
        asyncio.run(_fill(installation.postgres.url, length - so_far))
        so_far = length
        for name in ("chain-100", "diamonds-250"):
            workload = WORKLOADS[name]
            seconds = [headway.seconds(installation.client, name, workload) for _ in range(RUNS + 1)][1:]
            told[f"{length:,} finished: {name} ms/stage"] = 1_000 * median(seconds) / len(workload.shape())
        told[f"{length:,} finished: submitted/s"] = submit.measure(installation)["pipelines/s"]
    return told


async def _fill(url: str, count: int) -> None:
    session = await open_session(url)
    try:
        behind = await session.fetchval("SELECT coalesce(max(id), 0) FROM pipelines")
        await session.execute(FILL.format(count=count, behind=behind), timeout=3_600)
        await session.execute(COUNT_THEM)
        await session.execute("VACUUM (ANALYZE)", timeout=3_600)
        await session.execute("CHECKPOINT", timeout=600)
    finally:
        await session.close()
