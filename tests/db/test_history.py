"""Nothing that clients may ask for costs more because there is a long history; here, of 100,000 stages.

Postgres believes the tables to be empty, as after a quick growth: the plans must be good all the same.
"""

import pytest

from app.db import queues, series, stats, tasks, workers
from schemas.states import StageStatus
from tests.support.pipelines import submit
from tests.support.plans import blocks_read
from tests.support.workers import a_worker

PIPELINES = 10_000
FILL = f"""
INSERT INTO pipelines (uuid, name, stage_count, open_stages, status, created_at, started_at, finished_at)
SELECT gen_random_uuid(), 'old', 10, 0, 'completed', now(), now(), now() FROM generate_series(1, {PIPELINES});
INSERT INTO stages (pipeline_id, position, uuid, name, task, queue, slot, unmet, status, attempt, result, finished_at,
                    propagated)
SELECT p.id, n, gen_random_uuid(), 's' || n, 'noop', 'default', 'inline', 0, 'completed', 1, '{{}}', now(), true
  FROM pipelines AS p, generate_series(0, 9) AS n;
INSERT INTO dependencies (pipeline_id, stage, depends_on)
SELECT p.id, n, n - 1 FROM pipelines AS p, generate_series(1, 9) AS n;
INSERT INTO attempts (pipeline_id, position, attempt, lease_token, worker_id, started_at, outcome, finished_at)
SELECT pipeline_id, position, 1, uuid, uuid, now(), 'completed', now() FROM stages;
INSERT INTO events (pipeline_id, seq, type, subject, data, "time")
SELECT pipeline_id, position + 1, 'stage.completed', name, json_build_object('task_id', uuid, 'attempt', 1), now()
  FROM stages;
INSERT INTO workers (
    id, name, version, queues, tasks, process_slots, inline_slots, state, heartbeat_at, lease_expires_at)
SELECT gen_random_uuid(), 'old', '1', '{{default}}', '{{noop}}', 4, 100, 'stopped', now() - interval '1 day', now()
  FROM generate_series(1, 20000)"""
MANY, MANY_FOR_A_PAGE = 200, 1_000
"""Fewer blocks than any of the tables here has; a page of fifty tasks looks fifty of them up."""


@pytest.fixture
async def history(pool):
    """A long history, and a little that lives; autovacuum does not get to know of it."""
    tables = ("pipelines", "stages", "dependencies", "attempts", "events", "workers")
    for table in tables:
        await pool.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    await pool.execute(f"TRUNCATE {', '.join(tables)} CASCADE")  # and with it what was counted of earlier tests
    await pool.execute(FILL)
    await pool.execute("UPDATE stats_cursor SET place = settled_place()")
    worker = await a_worker(pool)
    live = [await submit(pool, {"a": (), "b": (), "c": (), "d": ("a",)}) for _ in range(5)]
    for pipeline in live:
        await worker.complete(pipeline, "a")
        await worker.fail(pipeline, "b")
    await worker.claim(live[0], "c")
    yield live
    await pool.execute(f"TRUNCATE {', '.join(tables)} CASCADE")  # deleted rows would be in the way of the next test
    for table in tables:
        await pool.execute(f"ALTER TABLE {table} RESET (autovacuum_enabled)")


def lists():
    queued, failed, done, running = (StageStatus(name) for name in ("queued", "failed", "completed", "running"))
    yield "everything", {}
    yield "queued", {"statuses": [queued]}
    yield "running", {"statuses": [running]}
    yield "failed", {"statuses": [failed]}
    yield "several", {"statuses": [queued, failed, running]}
    yield "completed", {"statuses": [done]}
    yield "of a queue", {"statuses": [queued, failed], "queue": "training"}
    yield "of a task", {"statuses": [running], "task": "train_model"}
    yield "of a pipeline", {"pipeline_id": 17}
    yield "failed of a pipeline", {"pipeline_id": 17, "statuses": [failed]}


async def blocks(pool, question):
    async with pool.acquire() as c:
        return await blocks_read(c, question)


async def test_no_question_reads_through_the_history(pool, history):
    task = (await history[0].stage("c"))["uuid"]
    questions = {
        "a task": lambda c: tasks.get(c, task),
        "a result": lambda c: tasks.result(c, task),
        "its metrics": lambda c: series.of_task(c, task, None, series.FIRST, 50),
        "queues": queues.statuses,
        "workers": workers.recent,
        "fleet": workers.fleet,
        "counts": lambda c: stats.counts(c, "default"),
        "last hour": lambda c: stats.last_hour(c, "default"),
        "a pass of the roll-up": lambda c: stats.count_ends(c, 5_000),
    }
    for name, options in lists():
        for after in (tasks.LAST, (PIPELINES // 2, 3)):
            questions[f"{name} behind {after}"] = lambda c, o=options, a=after: tasks.page(
                c, tasks.Selection(**o), a, 50
            )
    for name, question in questions.items():
        read, _ = await blocks(pool, question)
        assert sum(read.values()) < (MANY_FOR_A_PAGE if "behind" in name else MANY), (name, read)


async def test_a_filter_that_hardly_anything_passes_is_answered_in_bounded_steps(pool, history):
    """Each page looks at ``WALKED_MAX`` stages and says where to go on, so that no answer takes long."""
    assert await history[0].status() == "running"
    for options in ({"task": "train_model"}, {"statuses": [StageStatus.COMPLETED], "queue": "training"}):
        read, (found, more) = await blocks(
            pool, lambda c, o=options: tasks.page(c, tasks.Selection(**o), tasks.LAST, 50)
        )
        assert (found, more is None) == ([], False)
        assert sum(read.values()) < 2 * tasks.WALKED_MAX, read
