"""Lock order: batches over the same pipelines in any order, by several clients, never wait for each other in a circle.

Nobody is stepped here: the clients run as fast as they can, and every call that could wait for more than one lock does.
"""

import asyncio
import random
from dataclasses import dataclass, field
from itertools import chain
from uuid import UUID

import asyncpg
import pytest

from app.db import pipelines as db_pipelines
from app.db import queues
from app.db import stages as db
from app.db.pool import Connection, Pool
from schemas.queue import QUEUES_BY_PRIORITY, Queue
from schemas.stage import Claim, Completion, Progress, Serves
from schemas.states import Outcome
from tests.properties.interleaving.surgery import replace
from tests.support import invariants
from tests.support.pipelines import Submitted, fan, submit
from tests.support.workers import a_worker, ending, requests_of

CLIENTS = 5
PIPELINES = 8
ROUNDS = 10_000
SHAPE = {**fan(6), "join": tuple(fan(6))}
QUEUED = "SELECT * FROM stages WHERE status = 'queued' ORDER BY random() LIMIT 8"
OUTCOMES = [Outcome.COMPLETED, Outcome.COMPLETED, Outcome.FAILED, Outcome.LOST, Outcome.CANCELLED]
END = "SELECT pg_terminate_backend(pid, 10000) FROM unnest($1::integer[]) AS pid"
"""Waits for the end of sessions: one that is only cut off may hold its locks into the next test."""
ASKED = [
    db_pipelines.cancel,
    db_pipelines.pause,
    *[db_pipelines.resume] * 2,
    *[db_pipelines.retry] * 4,
]


@dataclass
class Client:
    """Does one thing after another to whatever it meets; ``pipelines`` are everybody's."""

    pool: Pool
    c: Connection
    worker: UUID
    pipelines: list[Submitted]
    dice: random.Random
    held: list[Claim] = field(default_factory=list)
    attempts: int = 0

    async def play(self, rounds: int) -> None:
        often = [self.claim, self.complete, self.follow_up, self.follow_up, self.release]
        acts = [*often * 2, self.report, self.report, self.ask, self.ask, self.purge, self.turn_queue]
        while rounds:
            rounds -= await self.dice.choice(acts)()

    async def claim(self) -> bool:
        found = await self.c.fetch(QUEUED)
        if found:
            answer = await db.claim(self.c, self.worker, requests_of(found), wait=True)
            self.held += answer.claims
            self.attempts += len(answer.claims)
        return bool(found)

    async def complete(self) -> bool:
        batch = self._some()
        if batch:
            self.held = [claim for claim in self.held if claim not in batch]
            await db.complete(self.c, [self._ending(claim) for claim in batch], wait=True)
        return bool(batch)

    async def follow_up(self) -> bool:
        batch = self._some()[: self.dice.choice([1, 2, 6])]
        if batch:
            serves, most = Serves(list(QUEUES_BY_PRIORITY), ["noop"], 2, 2), (PIPELINES, PIPELINES)
            ends = [self._ending(claim) for claim in batch]
            answer = await db.complete_to_worker(self.c, ends, self.worker, serves, most=most)
            locked = set(chain.from_iterable(answer.locked))
            self.held = [claim for claim in self.held if claim not in batch or claim.stage in locked]
            self.held += answer.claims
            self.attempts += len(answer.claims)
        return bool(batch)

    def _ending(self, claim: Claim) -> Completion:
        outcome = self.dice.choice(OUTCOMES)
        return ending(
            claim, outcome, retry_delay_s=self.dice.choice([None, 0, 0, 0]), costs_retry=outcome is Outcome.FAILED
        )

    async def release(self) -> bool:
        await db.release(self.c, self._some_ids(), batch=self.dice.choice([1, 3, 500]), wait=True)
        return True

    async def report(self) -> bool:
        await db.report_progress(self.c, [Progress(claim.stage, claim.lease_token, 0.5) for claim in self._some()])
        return True

    async def purge(self) -> bool:
        await db.purge(self.c, self._some_ids(), None, wait=True)
        return True

    async def turn_queue(self) -> bool:
        for paused in (True, False):
            await queues.pause(self.c, Queue.DEFAULT, paused=paused)
        return True

    async def ask(self) -> bool:
        """Of what has completed for good there is nothing to ask any more, so another takes its place."""
        place = self.dice.randrange(PIPELINES)
        verdict = await self.dice.choice(ASKED)(self.c, self.pipelines[place].uuid)
        if verdict is None or verdict.refused == "completed":
            await db_pipelines.delete(self.c, self.pipelines[place].uuid)
            self.pipelines[place] = await submit(self.pool, SHAPE, queue_timeout_s=3_600)
        return True

    def _some_ids(self) -> list[int]:
        return [each.id for each in self.dice.sample(self.pipelines, PIPELINES // 2)]

    def _some(self) -> list[Claim]:
        return self.dice.sample(self.held, min(len(self.held), 6))


async def play(pool: Pool, database_url: str, rounds: int) -> int:
    """Return how many attempts were begun."""
    pipelines = [await submit(pool, SHAPE, queue_timeout_s=3_600) for _ in range(PIPELINES)]
    # A deadlock must be found before the longest wait for a lock, two seconds, is over and hides it.
    quick = {"deadlock_timeout": "50ms"}
    sessions = [await asyncpg.connect(database_url, server_settings=quick) for _ in range(CLIENTS)]
    clients = [
        Client(pool, c, (await a_worker(pool)).id, pipelines, random.Random(seed)) for seed, c in enumerate(sessions)
    ]
    try:
        async with asyncio.TaskGroup() as together:
            for client in clients:
                together.create_task(client.play(rounds // CLIENTS))
    finally:
        await pool.execute(END, [c.get_server_pid() for c in sessions])
        for c in sessions:
            c.terminate()
    return sum(client.attempts for client in clients)


async def test_there_is_no_deadlock_in_ten_thousand_rounds_of_mixed_batches(pool, database_url):
    assert await play(pool, database_url, ROUNDS) > ROUNDS / 10
    await invariants.hold(pool)


@pytest.fixture
async def out_of_order(database_url):
    """Releases take their locks the other way round."""
    c = await asyncpg.connect(database_url)
    lock = await c.fetchval("SELECT pg_get_functiondef('lock_pipelines'::regproc)")
    release = await c.fetchval("SELECT pg_get_functiondef('release_pipelines'::regproc)")
    await c.execute(lock.replace("lock_pipelines", "lock_backwards").replace("ORDER BY id", "ORDER BY id DESC"))
    await replace(c, "release_pipelines", ("lock_pipelines(", "lock_backwards("))
    yield
    await c.execute(release)
    await c.execute("DROP FUNCTION lock_backwards")
    await c.close()


async def test_a_function_that_locks_in_another_order_would_be_seen(pool, database_url, out_of_order):
    with pytest.raises(ExceptionGroup) as found:
        await play(pool, database_url, ROUNDS)
    assert found.group_contains(asyncpg.DeadlockDetectedError)
