"""However long the history is: no statement reads it, whatever the planner believes."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import pytest

from app.services import checkpoints, events, pipelines, queues, stages, tasks, workers
from schemas.checkpoint import CheckpointReport
from schemas.queue import Queue
from schemas.stage import Claim, Progress
from tests.support.database import database
from tests.support.history import GROWING, fill
from tests.support.pipelines import CHAIN, DIAMOND, Submitted, a_plan, submit
from tests.support.plans import blocks, explained, scans
from tests.support.workers import ScriptedWorker, a_worker, ending, requests_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

HISTORY = 100_000
BLOCKS_MAX = 500
"""A call may look at so many blocks of 8 KiB; the tables have some 25,000."""


class OneConnection:
    """The pool that services ask: always the connection that is watched."""

    def __init__(self, c: asyncpg.Connection) -> None:
        self.c = c

    @asynccontextmanager
    async def acquire(self, **_):
        yield self.c

    def __getattr__(self, name: str):
        return getattr(self.c, name)


@dataclass
class World:
    """After a long history: a pipeline of every kind that is none yet, and a worker."""

    pool: OneConnection
    worker: ScriptedWorker
    pending: Submitted
    queued: Submitted
    running: Submitted
    completed: Submitted
    paused: Submitted
    failed: Submitted
    claim: Claim


async def the_present(pool: OneConnection) -> World:
    worker, dead = await a_worker(pool, lease_s=3600), await a_worker(pool)
    pending, queued = await submit(pool, CHAIN, start=False), await submit(pool, DIAMOND)
    running, completed, paused, failed, lost, late = [await submit(pool, CHAIN) for _ in range(6)]
    await worker.complete(completed, "a")
    await pipelines.pause(pool, paused.uuid)
    await worker.fail(failed, "a")
    await failed.release()
    await worker.fail(late, "a", retry_delay_s=0)
    await dead.start(lost)
    await dead.lose_lease()
    return World(pool, worker, pending, queued, running, completed, paused, failed, await worker.start(running))


@pytest.fixture(scope="module")
async def filled(postgres, template):
    """Statistics are from before there was anything."""
    async with database(postgres, template) as url:
        c = await asyncpg.connect(url)
        await c.execute("ANALYZE")
        await fill(c, HISTORY)
        yield await the_present(OneConnection(c))
        await c.close()


@pytest.fixture(scope="module", params=["stale statistics", "fresh statistics"])
async def world(filled, request):
    if request.param == "fresh statistics":
        await filled.pool.execute("ANALYZE")
    return filled


CLAIMED = "SELECT s.* FROM stages AS s WHERE s.pipeline_id = $1 AND status = 'queued'"
AGO = datetime(2026, 1, 1, tzinfo=UTC)


async def claim(w):
    await w.worker.ask(requests_of([await w.queued.stage()]))


async def cursor_of(w, **order):
    return (await pipelines.list_page(w.pool, limit=5, **order)).next_cursor


STATEMENTS = {
    "pipelines.create": lambda w: pipelines.create(w.pool, a_plan(DIAMOND)),
    "pipelines.start": lambda w: pipelines.start(w.pool, w.pending.uuid),
    "pipelines.cancel": lambda w: pipelines.cancel(w.pool, w.running.uuid),
    "pipelines.pause": lambda w: pipelines.pause(w.pool, w.running.uuid),
    "pipelines.resume": lambda w: pipelines.resume(w.pool, w.paused.uuid),
    "pipelines.retry": lambda w: pipelines.retry(w.pool, w.failed.uuid),
    "pipelines.delete": lambda w: pipelines.delete(w.pool, w.failed.uuid),
    "pipelines.get": lambda w: pipelines.get(w.pool, w.running.uuid),
    "pipelines.progress": lambda w: pipelines.progress(w.pool, w.running.uuid),
    "pipelines.page": lambda w: pipelines.list_page(w.pool),
    "stages.claim": claim,
    "stages.complete": lambda w: w.worker.report(ending(w.claim)),
    "stages.release": lambda w: stages.release(w.pool, [w.completed.id, w.running.id]),
    "stages.report_progress": lambda w: stages.report_progress(
        w.pool, [Progress(w.claim.stage, w.claim.lease_token, 0.5)]
    ),
    "stages.releasable": lambda w: stages.releasable(w.pool, 1_000),
    "stages.due": lambda w: stages.due(w.pool, 1_000),
    "stages.queued_after": lambda w: stages.queued_after(w.pool, stages.FIRST, min_age_s=0, limit=1_000),
    "stages.lost": lambda w: stages.rescue(w.pool, 1_000),
    "stages.overdue": lambda w: stages.enforce_timeouts(w.pool, 30),
    "stages.cancel": lambda w: tasks.cancel(w.pool, w.claim.stage),
    "stages.purge": lambda w: tasks.purge(w.pool, None),
    "stages.pipeline_of": lambda w: tasks.retry(w.pool, w.claim.stage),
    "workers.beat": lambda w: w.worker.beat(w.claim),
    "workers.expire": lambda w: workers.expire(w.pool),
    "workers.alive": lambda w: workers.alive(w.pool),
    "events.read": lambda w: events.read(w.pool, w.running.uuid, 0),
    "checkpoints.record": lambda w: checkpoints.record(
        w.pool, [CheckpointReport(w.claim.stage, w.claim.lease_token, 1, "x", {}, 1)]
    ),
    "checkpoints.of_pipeline": lambda w: checkpoints.of_pipeline(w.pool, w.running.uuid),
    "checkpoints.mark": lambda w: checkpoints.mark(w.pool, [1], "deleting"),
    "queues.pause": lambda w: queues.resume(w.pool, Queue.DEFAULT),
}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", STATEMENTS)
async def test_it(world, name, mode):
    await world.pool.execute(f"SET plan_cache_mode = {mode}")
    try:
        plans = await explained(world.pool.c, lambda: STATEMENTS[name](world))
    finally:
        await world.pool.execute("RESET plan_cache_mode")
    print(name, mode, blocks(plans), len(plans))
    for s in scans(plans, GROWING):
        print("   SCAN", s[:300])
    for p in plans:
        b = p["Plan"]["Shared Hit Blocks"] + p["Plan"]["Shared Read Blocks"]
        if b > 100:
            print("   BIG", b, p["Query Text"][:150].replace("\n", " "))
