"""A long history: as many finished pipelines as one likes, written straight into the tables."""

import asyncpg

GROWING = ("pipelines", "stages", "dependencies", "attempts", "events", "checkpoints")
"""The tables that grow with history."""
STAGES = 3
EVENTS = 8
FILLS = (
    f"""
INSERT INTO pipelines (uuid, name, labels, status, stage_count, open_stages, broken_stages, last_seq, error,
                       created_at, started_at, finished_at)
SELECT gen_random_uuid(), 'old-' || n % 1000, jsonb_build_object('team', n % 100), s.status, {STAGES}, 0,
       (s.status <> 'completed')::integer, {EVENTS}, CASE WHEN s.status = 'failed' THEN '{{}}'::jsonb END,
       t.day, t.day, t.day
  FROM generate_series(1, $1::integer) AS n
 CROSS JOIN LATERAL (SELECT CASE WHEN n % 10 = 0 THEN 'failed' WHEN n % 50 = 1 THEN 'cancelled' ELSE 'completed' END
                                AS status) AS s
 CROSS JOIN LATERAL (SELECT clock_timestamp() - ($1 - n) * interval '1 minute' AS day) AS t
 ORDER BY n""",
    f"""
INSERT INTO stages (pipeline_id, position, uuid, name, task, queue, slot, params, dependents, status, unmet, propagated,
                    dispatch_token, attempt, worker_id, result, error, queued_at, started_at, finished_at)
SELECT p.id, n, gen_random_uuid(), 's' || n, 'noop', 'default', 'inline', '{{"a": 1}}', (n < {STAGES - 1})::integer,
       s.status, 0, true, 1, 1, gen_random_uuid(), CASE s.status WHEN 'completed' THEN '{{"b": 2}}'::jsonb END,
       CASE s.status WHEN 'failed' THEN '{{}}'::jsonb END, p.created_at, p.created_at, p.created_at
  FROM pipelines AS p, generate_series(0, {STAGES - 1}) AS n
 CROSS JOIN LATERAL (SELECT CASE WHEN n = {STAGES - 1} THEN p.status ELSE 'completed' END AS status) AS s
 ORDER BY p.id, n""",
    f"INSERT INTO dependencies SELECT p.id, n, n + 1 FROM pipelines AS p, generate_series(0, {STAGES - 2}) AS n ORDER BY 1, 2",
    """
INSERT INTO attempts (pipeline_id, position, attempt, lease_token, worker_id, outcome, started_at, finished_at)
SELECT pipeline_id, position, 1, gen_random_uuid(), worker_id, status, started_at, finished_at FROM stages ORDER BY 1, 2""",
    f"""
INSERT INTO events (pipeline_id, seq, type, subject, data, "time")
SELECT p.id, n, 'stage.completed', 's1', '{{"attempt": 1}}', p.created_at
  FROM pipelines AS p, generate_series(1, {EVENTS}) AS n ORDER BY 1, 2""",
    """
INSERT INTO checkpoints (pipeline_id, position, attempt, step, path)
SELECT id, 0, 1, 1, 'step-1' FROM pipelines ORDER BY 1""",
)


async def fill(c: asyncpg.Connection, pipelines: int) -> None:
    """Write it. Nobody gathers statistics in the background, so they stay as the test wants them."""
    for table in GROWING:
        await c.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    await c.execute(FILLS[0], pipelines)
    for statement in FILLS[1:]:
        await c.execute(statement)
