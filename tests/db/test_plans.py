"""However long the history is: no statement reads through it, whatever the planner believes of the tables.

The lists that clients ask for have tests of their own, ``test_selection.py`` and ``test_history.py``.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from app.db import checkpoints as db_checkpoints
from app.db import pruning as db_pruning
from app.db import queries
from app.db import stages as db_stages
from app.services import (
    checkpoints,
    diagnosis,
    events,
    failures,
    graph,
    idempotency,
    pace,
    pipelines,
    queues,
    schedules,
    slots,
    stages,
    task_control,
    workers,
)
from schemas.checkpoint import CheckpointReport
from schemas.idempotency import IdempotencyKey
from schemas.queue import QUEUES_BY_PRIORITY, Queue
from schemas.stage import Progress, Serves
from schemas.states import CheckpointState
from tests.support.database import database
from tests.support.history import GROWING, Present, fill, the_present
from tests.support.pipelines import DIAMOND, a_plan
from tests.support.plans import blocks_read, plans, scans
from tests.support.workers import ending, requests_of

HISTORY = 100_000
BLOCKS_MAX = 300
"""So many blocks of 8 KiB may a call look at, with all its statements. The tables have more than 20,000."""
CALLS = 7
"""So often is each statement called: from the sixth time on Postgres may use a plan that fits all arguments alike."""
SCHEDULES = """
WITH made AS (
    INSERT INTO schedules (name, description, cron, timezone, params, pipeline, labels, overlap, catch_up, catch_up_max,
                           paused, next_run_at)
    SELECT name, '', '* * * * *', 'UTC', '{}', '{"name": "p", "stages": [{"name": "a", "task": "noop"}]}', '{}',
           'cancel_other', 'latest', 1, false, next_run_at
      FROM (VALUES ('runs', now()), ('has-ended', now() + interval '1 h')) AS s (name, next_run_at)
    RETURNING id, name
)
INSERT INTO schedule_slots (schedule_id, slot, state, pipeline)
SELECT id, clock_timestamp() - interval '2 h', 'fired', CASE name WHEN 'runs' THEN $1::uuid ELSE $2 END FROM made
UNION ALL
SELECT id, clock_timestamp() - interval '1 h', 'waiting', NULL FROM made WHERE name = 'has-ended'"""
STATISTICS = {
    "from before there was a history": "SELECT",
    "none at all": f"""
DELETE FROM pg_statistic WHERE starelid = ANY (ARRAY{[*GROWING]}::regclass[]);
UPDATE pg_class SET relpages = 0, reltuples = -1 WHERE oid = ANY (ARRAY{[*GROWING]}::regclass[])""",
    "fresh": "ANALYZE",
}
"""What Postgres believes of its tables."""


@pytest.fixture(scope="module")
async def filled(postgres, template):
    """A few pipelines of every kind, and then a long history, of which Postgres has not taken notice."""
    async with database(postgres, template) as url:
        c = await asyncpg.connect(url)
        for table in GROWING:
            await c.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        present = await the_present(c)
        await c.execute("ANALYZE")
        await fill(c, HISTORY)
        await c.close()
        yield url, present


@pytest.fixture(scope="module", params=STATISTICS.values(), ids=STATISTICS.keys())
async def believed(filled, request):
    url, present = filled
    c = await asyncpg.connect(url)
    await c.execute(request.param)
    await c.close()
    return url, present


@pytest.fixture
async def now(believed):
    """The present, seen by a connection that remembers no plans."""
    url, present = believed
    present.pool.c = await asyncpg.connect(url)
    yield present
    await present.pool.c.close()


async def claim(now: Present) -> None:
    assert (await now.worker.ask(requests_of([await now.queued.stage()]))).claims


async def complete_to_worker(now: Present) -> None:
    serves = Serves(list(QUEUES_BY_PRIORITY), ["noop"], 10, 10)
    answer = await stages.complete_to_worker(now.pool, [ending(now.claim)], now.worker.id, serves)
    assert answer.claims


async def fire(now: Present) -> None:
    """A slot comes while the pipeline of the one before runs, and another may run now because it has ended."""
    await now.pool.c.execute(SCHEDULES, now.running.uuid, now.failed.uuid)
    due = await slots.due(now.pool, 100)
    assert [each.waiting for each in due] == [True, False]
    assert not any([(await slots.fire(now.pool, each, stages_max=10)).stale for each in due])
    assert await schedules.in_the_way(now.pool, 100) == [now.running.uuid]


STATEMENTS: dict[str, Callable[[Present], Awaitable[object]]] = {
    "pipelines.create": lambda now: pipelines.create(now.pool, a_plan(DIAMOND)),
    "idempotency.create_once": lambda now: idempotency.create(now.pool, a_plan(), IdempotencyKey("once", b"")),
    "idempotency.find": lambda now: idempotency.find(now.pool, IdempotencyKey("once", b"")),
    "idempotency.prune": lambda now: idempotency.prune(now.pool, 1_000),
    "pipelines.start": lambda now: pipelines.start(now.pool, now.pending.uuid),
    "pipelines.cancel": lambda now: pipelines.cancel(now.pool, now.running.uuid),
    "pipelines.pause": lambda now: pipelines.pause(now.pool, now.running.uuid),
    "pipelines.resume": lambda now: pipelines.resume(now.pool, now.paused.uuid),
    "pipelines.retry": lambda now: pipelines.retry(now.pool, now.failed.uuid),
    "pipelines.patch": lambda now: pipelines.patch(now.pool, now.queued.uuid, {"priority": 7}),
    "pipelines.delete": lambda now: pipelines.delete(now.pool, now.failed.uuid),
    "pruning.ended": lambda now: db_pruning.ended(now.pool.c, datetime.now(UTC), 0, 50),
    "pruning.left": lambda now: db_pruning.left(now.pool.c, UUID(int=0)),
    "pruning.prune": lambda now: db_pruning.prune(now.pool.c, now.failed.uuid, datetime.now(UTC)),
    "pipelines.get": lambda now: pipelines.get(now.pool, now.running.uuid),
    "pipelines.progress": lambda now: pipelines.progress(now.pool, now.running.uuid),
    "pipelines.graph": lambda now: graph.get(now.pool, now.running.uuid),
    "stages.claim": claim,
    "stages.complete": lambda now: now.worker.report(ending(now.claim)),
    "stages.complete_to_worker": complete_to_worker,
    "stages.release": lambda now: stages.release(now.pool, [now.completed.id, now.running.id]),
    "stages.report_progress": lambda now: stages.report_progress(
        now.pool, [Progress(now.claim.stage, now.claim.lease_token, 0.5, 5, 10)]
    ),
    "stages.results": lambda now: db_stages.results(now.pool.c, now.completed.uuid, ["a", "b"]),
    "stages.releasable": lambda now: stages.releasable(now.pool, 1_000),
    "stages.due": lambda now: stages.due(now.pool, 1_000),
    "stages.queued_after": lambda now: stages.queued_after(now.pool, stages.FIRST, min_age_s=0, limit=1_000),
    "stages.lost": lambda now: stages.rescue(now.pool, 1_000),
    "stages.overdue": lambda now: stages.enforce_timeouts(now.pool, 30),
    "stages.cancel": lambda now: task_control.cancel(now.pool, now.claim.stage),
    "stages.pipeline_of": lambda now: task_control.retry(now.pool, now.failed_stage),
    "stages.pipelines_with_queued": lambda now: task_control.purge(now.pool, Queue.DEFAULT),
    "stages.purge": lambda now: task_control.purge(now.pool, Queue.DEFAULT),
    "workers.beat": lambda now: now.worker.beat(now.claim),
    "workers.expire": lambda now: workers.expire(now.pool),
    "workers.alive": lambda now: workers.alive(now.pool),
    "workers.leave": lambda now: workers.leave(now.pool, now.worker.id, "draining"),
    "events.read": lambda now: events.read(now.pool, now.running.uuid, 0),
    "events.now": lambda now: events.begin(now.pool, None),
    "events.traits": lambda now: events.traits(now.pool, [now.running.uuid]),
    "checkpoints.record": lambda now: checkpoints.record(
        now.pool, [CheckpointReport(now.claim.stage, now.claim.lease_token, 1, "x", {}, 1)]
    ),
    "checkpoints.stage_names": lambda now: checkpoints.stage_names(now.pool, now.running.uuid),
    "checkpoints.of_pipeline": lambda now: checkpoints.of_pipeline(now.pool, now.running.uuid),
    "failures.walk": lambda now: failures.list_page(now.pool),
    "failures.walk of a pipeline": lambda now: failures.list_page(now.pool, pipeline=now.failed.uuid),
    "failures.of_older_rules": lambda now: diagnosis.scan_failed_jobs(now.pool, Path("nowhere"), limit=2),
    "failures.rediagnose": lambda now: diagnosis.scan_failed_jobs(now.pool, Path("nowhere"), limit=2),
    "checkpoints.condemn": lambda now: checkpoints.condemn(
        now.pool, now.claim.stage, now.claim.lease_token, "x", "torn"
    ),
    "checkpoints.resume_point": lambda now: checkpoints.resume_point(now.pool, now.claim.stage, now.claim.lease_token),
    "checkpoints.mark_deleting": lambda now: db_checkpoints.mark_deleting(now.pool.c, [1]),
    "checkpoints.mark_deleted": lambda now: db_checkpoints.mark_deleted(now.pool.c, [1]),
    "checkpoints.mark_lost": lambda now: db_checkpoints.mark_lost(now.pool.c, 1),
    "checkpoints.mark_kept": lambda now: db_checkpoints.mark_kept(now.pool.c, [1], "best"),
    "checkpoints.other_rules": lambda now: db_checkpoints.other_rules(now.pool.c, "best"),
    "checkpoints.to_judge": lambda now: db_checkpoints.to_judge(now.pool.c, "", datetime.now(UTC), 0, 50),
    "checkpoints.half_deleted": lambda now: db_checkpoints.half_deleted(now.pool.c, 1_000),
    "checkpoints.pin": lambda now: checkpoints.pin(now.pool, 1),
    "checkpoints.page_of_pipeline": lambda now: checkpoints.list_page(now.pool, pipeline=now.running.uuid),
    "checkpoints.page_of_all": lambda now: checkpoints.list_page(now.pool, limit=30),
    "checkpoints.page_of_all, a rare state": lambda now: checkpoints.list_page(
        now.pool, states=[CheckpointState.INVALID]
    ),
    "checkpoints.place_of_task": lambda now: checkpoints.list_page(now.pool, task_id=now.claim.stage),
    "pace.update": lambda now: pace.update_job_metrics(now.pool),
    "schedules.fire": fire,
    "schedules.prune": lambda now: schedules.prune(now.pool, 30),
    "queues.pause": lambda now: queues.resume(now.pool, Queue.DEFAULT),
}
ELSEWHERE = {
    "checkpoints.get",
    "checkpoints.item",
    "selection",
    "tasks",
    "series",
    "stats",
    "events.news",
    "queues.depths",
    "workers.recent",
    "workers.fleet",
} | {f"schedules.{name}" for name in ("due", "fire_waiting", "in_the_way")}
"""What other tests put before a long history, those of the lists and of the streams; or one above, with its own."""
WITHOUT_HISTORY = {"server", "pace.totals", "workers", "queues.paused", "stages.now", "periodic", "templates"} | {
    *(f"schedules.{name}" for name in ("create", "change", "delete", "now", "summary", "get", "page")),
    "pruning.removed",
}
"""What asks tables that do not grow with history, or none."""


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_statement_walks_along_indexes_however_long_the_history(now, name):
    async def call(_):
        return await STATEMENTS[name](now)

    for _ in range(CALLS):
        explained = await plans(now.pool.c, call)
        assert len(explained) > 0
        assert scans(explained, GROWING) == []
        read, _ = await blocks_read(now.pool.c, call)
        assert sum(read.values()) <= BLOCKS_MAX, read


def test_no_statement_was_forgotten():
    files = Path(queries.__file__).parent.glob("*.sql")
    names = {f"{file.stem}.{name}" for file in files for name in queries.load(file.stem)}
    known = STATEMENTS.keys() | ELSEWHERE | WITHOUT_HISTORY
    assert {name for name in names if name not in known and name.split(".")[0] not in known} == set()
