"""A long history: as many finished pipelines as one likes, written straight into the tables; and a bit of present."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from app.services import pipelines
from schemas.stage import Claim
from tests.support.pipelines import CHAIN, DIAMOND, Submitted, submit
from tests.support.workers import ScriptedWorker, a_worker

GROWING = ("pipelines", "stages", "dependencies", "attempts", "events", "checkpoints", "failures")
"""The tables that grow with history."""
# One pipeline a minute, each a chain of two stages. Every tenth has failed, a few were cancelled.
FILL = """
WITH old AS (
    INSERT INTO pipelines (uuid, name, labels, status, stage_count, open_stages, broken_stages, last_seq, error,
                           created_at, started_at, finished_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'old-' || n % 1000, '{"team": "a"}', s.status, 2, 0,
           (s.status <> 'completed')::integer, 6, CASE s.status WHEN 'failed' THEN '{}'::jsonb END, t.day, t.day, t.day
      FROM generate_series(1, $1::integer) AS n
     CROSS JOIN LATERAL (SELECT CASE WHEN n % 10 = 0 THEN 'failed' WHEN n % 50 = 1 THEN 'cancelled'
                                         ELSE 'completed' END AS status) AS s
     CROSS JOIN LATERAL (SELECT clock_timestamp() - ($1 - n) * interval '1 minute' AS day) AS t
    RETURNING id, uuid, status, created_at AS day
), old_stages AS (
    INSERT INTO stages (pipeline_id, position, uuid, name, task, queue, slot, dependents, status, unmet, propagated,
                        dispatch_token, attempt, worker_id, result, error, queued_at, started_at, finished_at)
    SELECT p.id, n, lpad(to_hex(2 * p.id + n), 32, '0')::uuid, 's' || n, 'noop', 'default', 'inline', 1 - n, s.status,
           0, true, 1, 1, p.uuid, CASE s.status WHEN 'completed' THEN '{"b": 2}'::jsonb END,
           CASE s.status WHEN 'failed' THEN '{}'::jsonb END, p.day, p.day, p.day
      FROM old AS p CROSS JOIN generate_series(0, 1) AS n
     CROSS JOIN LATERAL (SELECT CASE n WHEN 1 THEN p.status ELSE 'completed' END AS status) AS s
    RETURNING pipeline_id, position, uuid, worker_id, status, finished_at AS day
), old_attempts AS (
    INSERT INTO attempts (pipeline_id, position, attempt, lease_token, worker_id, outcome, started_at, finished_at)
    SELECT pipeline_id, position, 1, uuid, worker_id, status, day, day FROM old_stages
), old_dependencies AS (
    INSERT INTO dependencies (pipeline_id, depends_on, stage) SELECT id, 0, 1 FROM old
), old_failures AS (
    INSERT INTO failures (pipeline_id, position, attempt, stage, task, failed_at, diagnosis)
    SELECT pipeline_id, position, 1, uuid, 'noop', day, jsonb_build_object(
               'fingerprint', 'f' || pipeline_id % 100, 'category', 'unknown', 'domain', 'unknown',
               'outlook', 'unknown', 'remedy', 'Read it.', 'rule_version', pipeline_id % 2, 'facts', '{}'::json)
      FROM old_stages WHERE status = 'failed'
), old_events AS (
    INSERT INTO events (pipeline_id, seq, type, subject, data, "time", place)
    SELECT id, n, 'stage.completed', 's1', '{"attempt": 1}', day, 1 FROM old CROSS JOIN generate_series(1, 6) AS n
)
INSERT INTO checkpoints (pipeline_id, position, attempt, step, path) SELECT id, 0, 1, 1, 'step-1' FROM old"""


async def fill(c: asyncpg.Connection, pipelines: int) -> None:
    """Write it, at once. Its keys fit, and checking them would take a while."""
    async with c.transaction():
        await c.execute("SET LOCAL session_replication_role = replica")
        await c.execute(FILL, pipelines)


class OneConnection:
    """The pool of services under watch: always the same connection."""

    def __init__(self, c: asyncpg.Connection) -> None:
        self.c = c

    @asynccontextmanager
    async def acquire(self, **_: float) -> AsyncIterator[asyncpg.Connection]:
        """The connection."""
        yield self.c

    def __getattr__(self, name: str) -> Any:
        return getattr(self.c, name)


@dataclass
class Present:
    """What is not history yet: a pipeline of every kind, and a worker with a stage of one of them."""

    pool: OneConnection
    worker: ScriptedWorker
    claim: Claim
    pending: Submitted
    queued: Submitted
    running: Submitted
    completed: Submitted
    paused: Submitted
    failed: Submitted
    failed_stage: UUID


async def the_present(c: asyncpg.Connection) -> Present:
    """Besides those named there are a retry that is due and a stage of a lost worker."""
    pool = OneConnection(c)
    worker, dead = await a_worker(pool, lease_s=3_600), await a_worker(pool)
    pending, queued = await submit(pool, CHAIN, start=False), await submit(pool, DIAMOND)
    running, completed, paused, failed, retrying, lost = [await submit(pool, CHAIN) for _ in range(6)]
    claim = await worker.start(running)
    await worker.complete(completed, "a")
    await pipelines.pause(pool, paused.uuid)
    await worker.fail(failed, "a")
    await failed.release()
    await worker.fail(retrying, "a", retry_delay_s=0)
    await dead.start(lost)
    await dead.lose_lease()
    failed_stage = (await failed.stage())["uuid"]
    return Present(pool, worker, claim, pending, queued, running, completed, paused, failed, failed_stage)
