"""The tables refuse rows that cannot be, whoever writes them."""

import asyncpg
import pytest

from tests.support.pipelines import submit
from tests.support.workers import a_worker

CHECKS = "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
A_MOMENT = "'2026-01-01T00:00Z'"

PIPELINES = {
    "without a name": "name = ''",
    "with an endless name": "name = repeat('x', 129)",
    "below the lowest priority": "priority = 0",
    "above the highest priority": "priority = 11",
    "in an unknown state": "status = 'sleeping'",
    "without stages": "stage_count = 0",
    "with too many stages": "stage_count = 10001",
    "with fewer open stages than none": "open_stages = -1",
    "with more open stages than stages": "open_stages = 5",
    "with fewer broken stages than none": "broken_stages = -1",
    "with more broken stages than stages": "broken_stages = 5",
    "with fewer events than none": "last_seq = -1",
    "ended at no time": "status = 'cancelled', open_stages = 0",
    "running after its end": f"finished_at = {A_MOMENT}",
    "ended with stages open": f"status = 'cancelled', finished_at = {A_MOMENT}",
    "completed with a broken stage": (
        f"status = 'completed', finished_at = {A_MOMENT}, open_stages = 0, broken_stages = 1"
    ),
    "failed without an error": f"status = 'failed', finished_at = {A_MOMENT}, open_stages = 0, broken_stages = 1",
    "running without a start": "started_at = NULL",
}
QUEUED = {
    "before the first position": "position = -1",
    "with a name for a shell": "name = 'a; rm -rf /'",
    "with a name that ends in a dash": "name = 'a-'",
    "on an unknown queue": "queue = 'express'",
    "in an unknown slot": "slot = 'gpu'",
    "in an unknown state": "status = 'sleeping'",
    "with params that are no object": "params = '[]'",
    "with references that are no object": "\"references\" = '[]'",
    "with fewer retries than none": "max_retries = -1",
    "with too many retries": "max_retries = 21",
    "with a retry in the past": "retry_delay_s = -1",
    "with a retry after days": "retry_delay_s = 86401",
    "with a backoff that shortens": "retry_backoff = 0.5",
    "with a backoff that explodes": "retry_backoff = 101",
    "with a longest delay of less than nothing": "retry_delay_max_s = -1",
    "with a queue timeout at once": "queue_timeout_s = 0.5",
    "with a total timeout at once": "total_timeout_s = 0.5",
    "with a rule that nobody knows": "trigger_rule = 'at_full_moon'",
    "with a timeout at once": "timeout_s = 0.5",
    "with a timeout after months": "timeout_s = 2592001",
    "with fewer dependents than none": "dependents = -1",
    "with fewer attempts than none": "attempt = -1",
    "with fewer failures than none": "failures = -1",
    "with fewer losses than none": "losses = -1",
    "with more failures than attempts": "failures = 1",
    "with more losses than attempts": "losses = 1",
    "with less progress than none": "progress = -0.1",
    "further than its end": "progress = 1.1",
    "diagnosed with a list": "diagnosis = '[]'",
    "failed with a list": f"status = 'failed', error = '[]', finished_at = {A_MOMENT}",
    "failed without an error": f"status = 'failed', finished_at = {A_MOMENT}",
    "leased": "lease_token = gen_random_uuid()",
    "waiting for a retry": f"retry_at = {A_MOMENT}",
    "retrying at no time": "status = 'retrying'",
    "finished": f"finished_at = {A_MOMENT}",
    "with a result": "result = '{}'",
    "told to its dependents": "propagated = true",
    "that waits for others": "unmet = 1",
    "at no time": "queued_at = NULL",
    "that was never dispatched": "dispatch_token = 0",
    "completed without an attempt": f"status = 'completed', result = '{{}}', finished_at = {A_MOMENT}",
}
RUNNING = {
    "without a lease": "lease_token = NULL",
    "on no worker": "worker_id = NULL",
    "without a start": "started_at = NULL",
    "in no attempt": "attempt = 0",
    "that waits for others": "unmet = 1",
    "given up for its waiting": f"give_up_at = {A_MOMENT}",
}
COMPLETED = {
    "at no time": "finished_at = NULL, propagated = false",
    "without a result": "result = NULL",
    "with a list": "result = '[]'",
    "that waits for others": "unmet = 1",
}
WAITING = {"for fewer than none": "unmet = -1"}
ROWS = {
    "a stage that waits for itself": "INSERT INTO dependencies VALUES (1, 2, 2)",
    "an attempt before the first": "UPDATE attempts SET attempt = 0",
    "an attempt with an unknown outcome": f"UPDATE attempts SET outcome = 'odd', finished_at = {A_MOMENT}",
    "an attempt that has ended at no time": "UPDATE attempts SET finished_at = NULL WHERE outcome IS NOT NULL",
    "an attempt that has ended somehow": f"UPDATE attempts SET outcome = NULL, finished_at = {A_MOMENT}",
    "an event before the first": "UPDATE events SET seq = 0 WHERE seq = 1",
    "an unknown event": "UPDATE events SET type = 'stage.exploded'",
    "a worker in an unknown state": "UPDATE workers SET state = 'asleep'",
    "a second installation": "INSERT INTO installation (only_row) VALUES (false)",
    "a second place of the statistics": "UPDATE stats_cursor SET only_row = false",
    "a series of which nothing is kept": "INSERT INTO metric_series VALUES (1, 1, 1, 1, 'loss', 0, 0, 0, 0, 0)",
    "a checkpoint before the first step": "INSERT INTO checkpoints (pipeline_id, position, attempt, step, path) "
    "VALUES (1, 1, 1, -1, 'x')",
    "a checkpoint of less than nothing": "INSERT INTO checkpoints (pipeline_id, position, attempt, step, path, bytes) "
    "VALUES (1, 1, 1, 1, 'x', -1)",
    "a checkpoint in an unknown state": "INSERT INTO checkpoints (pipeline_id, position, attempt, step, path, state) "
    "VALUES (1, 1, 1, 1, 'x', 'torn')",
    "a failure that is diagnosed with a list": "INSERT INTO failures (pipeline_id, position, attempt, stage, task, "
    f"failed_at, diagnosis) VALUES (1, 1, 1, gen_random_uuid(), 'noop', {A_MOMENT}, '[]')",
    "a checkpoint that is pinned and goes": "INSERT INTO checkpoints (pipeline_id, position, attempt, step, path, "
    "pinned, state) VALUES (1, 1, 1, 1, 'x', true, 'deleting')",
    "a checkpoint that is invalid for a whole book of reasons": "INSERT INTO checkpoints (pipeline_id, position, "
    "attempt, step, path, reason) VALUES (1, 1, 1, 1, 'x', repeat('x', 4001))",
    "a stage that goes back": "INSERT INTO paces (pipeline_id, position, attempt, step, total, steps_per_s, "
    f"reported_at) VALUES (1, 1, 1, 1, 1, -1, {A_MOMENT})",
    "a stage that has ended in the past": "INSERT INTO paces (pipeline_id, position, attempt, step, total, eta_s, "
    f"reported_at) VALUES (1, 1, 1, 1, 1, -1, {A_MOMENT})",
    "an idempotency key with a space": "INSERT INTO idempotency_keys (key, fingerprint, pipeline, expires_at) "
    f"VALUES ('a b', '', gen_random_uuid(), {A_MOMENT})",
}
BY_THE_CLOCK = f"""
INSERT INTO periodic_tasks VALUES ('t', 60);
INSERT INTO periodic_runs (name, slot, worker_id, started_at, expires_at)
VALUES ('t', {A_MOMENT}, gen_random_uuid(), {A_MOMENT}, {A_MOMENT});
INSERT INTO templates (name, version, description, params_schema, pipeline) VALUES ('t', 1, '', '{{}}', '{{}}');
INSERT INTO schedules (name, description, cron, timezone, template, params, labels, overlap, catch_up, catch_up_max,
                       paused, next_run_at)
VALUES ('s', '', '* * * * *', 'UTC', 't', '{{}}', '{{}}', 'skip', 'none', 1, false, {A_MOMENT});
INSERT INTO schedule_slots (schedule_id, slot, state) SELECT id, {A_MOMENT}, 'missed' FROM schedules"""
ROWS |= {
    "a periodic task without a pause": "UPDATE periodic_tasks SET interval_s = 0",
    "a run that has ended somehow": f"UPDATE periodic_runs SET finished_at = {A_MOMENT}",
    "a run on no worker": "UPDATE periodic_runs SET worker_id = NULL",
    "a run that failed with a list": "UPDATE periodic_runs SET error = '[]'",
    "a run with an unknown outcome": f"UPDATE periodic_runs SET outcome = 'odd', finished_at = {A_MOMENT}",
    "a template with a name for a shell": "UPDATE templates SET name = '$x'",
    "a version before the first": "UPDATE templates SET version = 0",
    "a schedule with a name for a shell": "UPDATE schedules SET name = '$x'",
    "a schedule of nothing": "UPDATE schedules SET template = NULL",
    "a paused schedule that fires": "UPDATE schedules SET paused = true",
    "a schedule with params that are no object": "UPDATE schedules SET params = '[]'",
    "a schedule with an unknown overlap": "UPDATE schedules SET overlap = 'odd'",
    "a schedule with an unknown way to catch up": "UPDATE schedules SET catch_up = 'odd'",
    "a schedule that catches up with less than nothing": "UPDATE schedules SET catch_up_max = 0",
    "a slot in an unknown state": "UPDATE schedule_slots SET state = 'odd'",
    "a slot that fired nothing": "UPDATE schedule_slots SET state = 'fired'",
    "a slot that failed without an error": "UPDATE schedule_slots SET state = 'failed'",
    "a slot that failed with a list": "UPDATE schedule_slots SET state = 'failed', error = '[]'",
}
IMPOSSIBLE = {
    **{f"a pipeline {how}": f"UPDATE pipelines SET {columns}" for how, columns in PIPELINES.items()},
    **{
        f"a stage {kind} {how}": f"UPDATE stages SET {columns} WHERE name = '{name}'"
        for kind, name, cases in [
            ("queued", "queued", QUEUED),
            ("running", "running", RUNNING),
            ("completed", "done", COMPLETED),
            ("waiting", "waiting", WAITING),
        ]
        for how, columns in cases.items()
    },
    **ROWS,
}


@pytest.fixture
async def populated(pool):
    shape = {"queued": (), "running": (), "done": (), "waiting": ("done",)}
    pipeline, worker = await submit(pool, shape), await a_worker(pool)
    await worker.complete(pipeline, "done")
    await worker.start(pipeline, "running")
    await pool.execute(BY_THE_CLOCK)
    return pool


async def violated(pool, statement: str) -> str | None:
    """The check that refuses a statement; None if nothing does."""
    async with pool.acquire() as c:
        attempt = c.transaction()
        await attempt.start()
        try:
            await c.execute(statement)
        except asyncpg.CheckViolationError as refusal:
            return refusal.constraint_name
        finally:
            await attempt.rollback()
    return None


async def test_what_cannot_be_is_refused_and_every_check_is_needed_for_it(populated):
    refused_by = {sentence: await violated(populated, statement) for sentence, statement in IMPOSSIBLE.items()}
    assert [sentence for sentence, check in refused_by.items() if check is None] == []
    checks = {row["conname"] for row in await populated.fetch(CHECKS)}
    assert checks - set(refused_by.values()) == set()


async def test_nothing_has_two_rows_where_one_is_meant(populated):
    for statement in (
        "UPDATE stages SET uuid = (SELECT min(uuid::text)::uuid FROM stages)",
        "UPDATE stages SET position = 0",
        "UPDATE events SET seq = 1",
        "INSERT INTO pipelines (uuid, name, stage_count, open_stages) SELECT uuid, 'x', 1, 1 FROM pipelines",
        "INSERT INTO attempts SELECT * FROM attempts",
        "INSERT INTO dependencies SELECT * FROM dependencies",
        "INSERT INTO workers SELECT * FROM workers",
        "INSERT INTO installation DEFAULT VALUES",
        "INSERT INTO stats_cursor SELECT * FROM stats_cursor",
        "INSERT INTO periodic_runs SELECT * FROM periodic_runs",
        "INSERT INTO templates SELECT * FROM templates",
        "INSERT INTO schedule_slots SELECT * FROM schedule_slots",
    ):
        with pytest.raises(asyncpg.UniqueViolationError):
            await populated.execute(statement)
