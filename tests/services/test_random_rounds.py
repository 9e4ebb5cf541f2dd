"""Clients that do anything to shared pipelines in any order: no deadlock, no broken rule, and everything ends."""

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from app.db import pipelines as db_pipelines
from app.db import stages as db
from app.db.pool import Connection, Pool
from schemas.stage import Claim, Progress
from schemas.states import Outcome
from tests.support import invariants
from tests.support.pipelines import DIAMOND, Submitted, all_queued, fan, submit
from tests.support.workers import ScriptedWorker, a_worker, ending, requests_of

CLIENTS = 4
ROUNDS = 300
SHAPES = [DIAMOND, {**fan(12), "join": tuple(fan(12))}, {"a": (), "b": ("a",), "c": ("a",), "d": ("c",), "e": ()}]
OUTCOMES = [Outcome.COMPLETED, Outcome.COMPLETED, Outcome.COMPLETED, Outcome.FAILED, Outcome.LOST, Outcome.CANCELLED]


@dataclass
class Client:
    """Works straight on ``app.db``, where a deadlock would be an error and not a reason to try again."""

    pool: Pool
    worker: ScriptedWorker
    pipelines: list[Submitted]
    dice: random.Random
    held: list[Claim] = field(default_factory=list)

    async def play(self, rounds: int) -> None:
        acts = [self.claim, self.claim, self.complete, self.complete, self.release, self.report, self.repeat]
        async with self.pool.acquire() as c:
            for _ in range(rounds):
                await self.dice.choice(acts)(c)
            if self.dice.random() < 0.5:
                await db_pipelines.cancel(c, self.dice.choice(self.pipelines).uuid)

    async def claim(self, c: Connection) -> None:
        if found := await c.fetch("SELECT * FROM stages WHERE status = 'queued' ORDER BY random() LIMIT 6"):
            answer = await db.claim(c, self.worker.id, requests_of(found), wait=self._waits())
            self.held += answer.claims

    async def complete(self, c: Connection) -> None:
        if batch := self._some():
            completions = [self._ending(claim) for claim in batch]
            answer = await db.complete(c, completions, wait=self._waits())
            locked = {stage for group in answer.locked for stage in group}
            self.held = [claim for claim in self.held if claim not in batch or claim.stage in locked]

    async def release(self, c: Connection) -> None:
        chosen = self.dice.sample(self.pipelines, 4)
        await db.release(c, [each.id for each in chosen], batch=self.dice.choice([1, 3, 500]), wait=self._waits())

    async def report(self, c: Connection) -> None:
        await db.report_progress(c, [Progress(claim.stage, claim.lease_token, 0.5) for claim in self._some()])

    async def repeat(self, c: Connection) -> None:
        """A worker that does not remember what it has said."""
        for claim in self._some()[:1]:
            await db.complete(c, [ending(claim)], wait=False)

    def _some(self) -> list[Claim]:
        return self.dice.sample(self.held, min(len(self.held), 4))

    def _ending(self, claim: Claim):
        outcome = self.dice.choice(OUTCOMES)
        delay_s = self.dice.choice([None, 0]) if outcome is Outcome.FAILED else 0
        costs = outcome in {Outcome.COMPLETED, Outcome.FAILED}
        return ending(claim, outcome, retry_delay_s=delay_s, costs_retry=costs)

    def _waits(self) -> bool:
        return self.dice.random() < 0.5


async def finish(pool: Pool, clients: list[Client]) -> None:
    """What workers and schedulers do when the confusion is over."""
    for client in clients:
        await client.worker.report(*map(ending, client.held))
    worker, pipelines = clients[0].worker, clients[0].pipelines
    for _ in range(100):
        for pipeline in pipelines:
            await pipeline.release()
        if not (queued := await all_queued(pool)):
            return
        rows = [{"uuid": each.stage, "dispatch_token": each.dispatch_token} for each in queued]
        await worker.report(*map(ending, (await worker.ask(requests_of(rows))).claims))
    pytest.fail("there is no end to it")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_anything_in_any_order_breaks_no_rule_and_comes_to_an_end(pool, seed: int):
    dice = random.Random(seed)
    submitted = [await submit(pool, dice.choice(SHAPES)) for _ in range(8)]
    clients = [
        Client(pool, await a_worker(pool), submitted, random.Random(seed * 100 + number)) for number in range(CLIENTS)
    ]
    await asyncio.gather(*(client.play(ROUNDS // CLIENTS) for client in clients))
    await invariants.hold(pool)
    await finish(pool, clients)
    await invariants.hold(pool)
    assert {await pipeline.status() for pipeline in submitted} <= {"completed", "failed", "cancelled"}
