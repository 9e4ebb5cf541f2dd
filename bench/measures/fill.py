"""A history for the tables: pipelines that ended, as if they had run, by one statement a batch."""

import asyncio

from app.db.pool import open_session

BATCH = 10_000
TIMEOUT_S = 600
QUICKLY = "SET session_replication_role = replica; SET synchronous_commit = off"
"""No foreign keys are looked up: the rows are right as they are made."""
PIPELINES = """
WITH made AS (
    INSERT INTO pipelines (uuid, name, labels, stage_count, open_stages, broken_stages, status, error, last_seq,
                           created_at, started_at, finished_at)
    SELECT uuidv7(t - now()), 'old', '{"team": "vision"}', 4, 0, f::integer,
           CASE WHEN f THEN 'failed' ELSE 'completed' END, CASE WHEN f THEN '{"code": "stage_failed"}'::jsonb END, 15,
           t, t, t + interval '4 seconds'
      FROM generate_series($1::integer, $2::integer) AS n
     CROSS JOIN LATERAL (SELECT now() - interval '30 days' + n * interval '2.592 seconds', n % 50 = 0) AS v (t, f)
     ORDER BY n
    RETURNING id, created_at, broken_stages = 1 AS failed
), staged AS (
    INSERT INTO stages (pipeline_id, position, uuid, name, task, queue, slot, params, dependents, unmet, status,
                        propagated, dispatch_token, attempt, failures, worker_id, progress, result, error, diagnosis,
                        queued_at, started_at, finished_at)
    SELECT id, n, uuidv7(t - now()), 's' || n, 'noop', 'default', 'inline', '{}', (n < 3)::integer, 0,
           CASE WHEN f THEN 'failed' ELSE 'completed' END, true, 1, 1, f::integer, $3, 1,
           CASE WHEN NOT f THEN '{}'::jsonb END, CASE WHEN f THEN '{"type": "ValueError", "message": "bad"}'::jsonb END,
           CASE WHEN f THEN '{"fingerprint": "bad", "category": "code", "rule_version": 1}'::jsonb END,
           t, t + interval '1 millisecond', t + interval '1 second'
      FROM made CROSS JOIN generate_series(0, 3) AS n
     CROSS JOIN LATERAL (SELECT created_at + n * interval '1 second', failed AND n = 3) AS v (t, f)
     ORDER BY id, n
    RETURNING pipeline_id, position, uuid, name, task, status, error, diagnosis, queued_at, started_at, finished_at
), needed AS (
    INSERT INTO dependencies (pipeline_id, depends_on, stage) SELECT id, n - 1, n FROM made, generate_series(1, 3) AS n
), tried AS (
    INSERT INTO attempts (pipeline_id, position, attempt, lease_token, worker_id, outcome, error, started_at,
                          finished_at)
    SELECT pipeline_id, position, 1, gen_random_uuid(), $3, status, error, started_at, finished_at FROM staged
), diagnosed AS (
    INSERT INTO failures (pipeline_id, position, attempt, stage, task, failed_at, diagnosis)
    SELECT pipeline_id, position, 1, uuid, task, finished_at, diagnosis FROM staged WHERE status = 'failed'
), told AS (
    SELECT id AS pipeline_id, seq, type, NULL AS subject, data, "time"
      FROM made
     CROSS JOIN LATERAL (VALUES
               (1, 'pipeline.created', json_build_object('name', 'old', 'stages', 4), created_at),
               (2, 'pipeline.started', '{}', created_at),
               (15, CASE WHEN failed THEN 'pipeline.failed' ELSE 'pipeline.completed' END,
                '{}', created_at + interval '4 seconds')) AS v (seq, type, data, "time")
     UNION ALL
    SELECT pipeline_id, 3 + 3 * position + step, type, name, data, "time"
      FROM staged
     CROSS JOIN LATERAL (VALUES
               (0, 'stage.queued', json_build_object('task_id', uuid), queued_at),
               (1, 'stage.started', json_build_object('task_id', uuid, 'attempt', 1, 'worker', $3::uuid), started_at),
               (2, 'stage.' || status, json_build_object('task_id', uuid, 'attempt', 1), finished_at)
               ) AS v (step, type, data, "time")
)
INSERT INTO events (pipeline_id, seq, type, subject, data, "time", place)
SELECT pipeline_id, seq, type, subject, data, "time", (SELECT next_place()) FROM told ORDER BY pipeline_id, seq"""
COUNT_THEM = "UPDATE stats_cursor SET place = settled_place()"
TIDY = ("VACUUM (ANALYZE)", "CHECKPOINT")
SIZE = "SELECT pg_database_size(current_database())"


def fill(url: str, first: int, last: int) -> float:
    """Add the finished pipelines ``first`` to ``last`` of a history of at most a million; return all gigabytes.

    Each has four stages in a row and fifteen events; one in fifty has failed at its end. They ended within the last
    thirty days and are counted in no statistics.
    """
    return asyncio.run(_fill(url, first, last))


async def _fill(url: str, first: int, last: int) -> float:
    session = await open_session(url)
    try:
        worker = await session.fetchval("SELECT uuidv7()")
        await session.execute(QUICKLY)
        for start in range(first, last + 1, BATCH):
            await session.execute(PIPELINES, start, min(start + BATCH - 1, last), worker, timeout=TIMEOUT_S)
        await session.execute(COUNT_THEM)
        for tidy in TIDY:
            await session.execute(tidy, timeout=TIMEOUT_S)
        return float(await session.fetchval(SIZE)) / 1e9
    finally:
        await session.close()
