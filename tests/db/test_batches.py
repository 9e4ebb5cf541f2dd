"""A batch of a hundred stages costs what a hundred stages cost: nothing is done for each pair of them, or for the rest.

What is not linear in a batch hides in the plans: a function or a foreign key that asks anew for each row, a join that
compares every stage with every other, an index that is searched for the whole batch once for each of it.
"""

from dataclasses import dataclass

import asyncpg
import pytest

from app.services import stages
from schemas.queue import QUEUES_BY_PRIORITY
from schemas.stage import Claim, ClaimRequest, Serves
from tests.support.history import OneConnection
from tests.support.pipelines import Submitted, submit
from tests.support.plans import Node, nodes, plans
from tests.support.workers import ScriptedWorker, a_worker, ending, requests_of

FEW, MANY = 10, 100
REST = 300
SIDE_BY_SIDE = {
    **{f"a{n}": () for n in range(2 * MANY + 2)},
    **{f"b{n}": (f"a{n}",) for n in range(2 * MANY + 2)},
    **{f"c{n}": ("a0", "a1") for n in range(REST)},
}
THROWN_AWAY_MAX = 3
"""So many rows may be looked at in vain for each stage of a batch."""
CALLS = 7
"""So often is each statement called: from the sixth time on Postgres may use a plan that fits all arguments alike."""


@dataclass
class Batches:
    """The hot calls on stages of one large pipeline: a few of them or many."""

    pool: OneConnection
    worker: ScriptedWorker
    pipeline: Submitted
    held: list[Claim]
    wanted: list[ClaimRequest]

    async def claim(self, size: int) -> None:
        assert len((await self.worker.ask(self.wanted[:size])).claims) == size

    async def complete(self, size: int) -> None:
        answer = await self.worker.report(*map(ending, self.held[:size]))
        assert answer.stale == answer.locked == []

    async def complete_to_worker(self, size: int) -> None:
        serves = Serves(list(QUEUES_BY_PRIORITY), ["noop"], MANY, 4)
        outcomes = [ending(claim) for claim in self.held[:size]]
        answer = await stages.complete_to_worker(self.pool, outcomes, self.worker.id, serves)
        assert len(answer.claims) == size

    async def release(self, size: int) -> None:
        await self.complete(size)
        assert len((await stages.release(self.pool, [self.pipeline.id])).queued) == size


@pytest.fixture
async def batches(database_url):
    c = await asyncpg.connect(database_url)
    pool = OneConnection(c)
    worker, pipeline = await a_worker(pool), await submit(pool, SIDE_BY_SIDE)
    held = await worker.claim(pipeline, *(f"a{n}" for n in range(2, MANY + 2)))  # not what the rest waits for
    wanted = requests_of([await pipeline.stage(f"a{n}") for n in range(MANY + 2, 2 * MANY + 2)])
    yield Batches(pool, worker, pipeline, held, wanted)
    await c.close()


@pytest.fixture(params=[Batches.claim, Batches.complete, Batches.complete_to_worker, Batches.release])
async def done(batches, request) -> dict[int, list[Node]]:
    """What Postgres did for a few stages and for many."""
    done = {}
    for size in (FEW, MANY):
        for _ in range(CALLS):
            done[size] = await plans(batches.pool.c, lambda _, size=size: request.param(batches, size), analyze=True)
    return done


def reading(done: list[Node]) -> list[Node]:
    """All nodes of all plans."""
    return [node for each in done for node in nodes(each["Plan"])]


async def test_a_large_batch_takes_as_many_statements_as_a_small_one(done):
    assert len(done[MANY]) == len(done[FEW]) > 0


async def test_hardly_a_row_is_looked_at_in_vain(done):
    for size, of in done.items():
        in_vain = sum(
            node.get(f"Rows Removed by {what}", 0) * node["Actual Loops"]
            for node in reading(of)
            for what in ("Filter", "Join Filter")
        )
        assert in_vain <= THROWN_AWAY_MAX * size


async def test_an_index_is_not_searched_for_the_whole_batch_once_for_each_of_it(done):
    searches = [node for node in reading(done[MANY]) if "ANY" in node.get("Index Cond", "")]
    assert [node for node in searches if node["Actual Loops"] > FEW] == []
