"""The interleavings that everybody asks about, each by its name, and in both orders where that matters.

The first client acts and stops before its COMMIT; the second meets its lock; then the first commits, or dies. Those
that need no certain order are beside the verb that they are about:

- the last two siblings completing at once: ``test_the_last_two_branches_completing_at_once_release_the_join_once``
- two schedulers releasing the same children: ``test_two_schedulers_at_once_release_a_stage_once``
- a client that is stuck in the middle of a batch: ``tests/services/test_stuck_clients.py``
- a poison result in a batch: ``tests/services/test_bad_results.py``
- a claim repeated after a lost reply: ``test_a_claim_repeated_with_its_lease_token_gives_the_same_answer``
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from app.db import pipelines as db_pipelines
from app.db import stages as db
from app.db.pool import Connection, Pool
from app.errors import Conflict
from app.services import pipelines, stages
from schemas.queue import QUEUES_BY_PRIORITY
from schemas.stage import Serves
from schemas.states import Outcome
from tests.support import invariants
from tests.support.locks import until_waiting
from tests.support.pipelines import CHAIN, DIAMOND, PAIR, submit
from tests.support.workers import a_worker, ending, loss, requests_of

SERVES = Serves(list(QUEUES_BY_PRIORITY), ["noop"], 4, 4)
either_way = pytest.mark.parametrize("commits", [True, False], ids=["it commits", "it dies"])


async def in_turn(
    pool: Pool,
    first: Callable[[Connection], Awaitable[Any]],
    second: Coroutine[Any, Any, Any],
    *,
    commits: bool = True,
) -> tuple[Any, Any]:
    """Let the second wait behind the first; return both answers, a refusal among them."""
    async with pool.acquire() as c:
        transaction = c.transaction()
        await transaction.start()
        answer = await first(c)
        waiting = asyncio.create_task(second)
        await until_waiting(pool, 1)
        await (transaction.commit() if commits else transaction.rollback())
    (late,) = await asyncio.gather(waiting, return_exceptions=True)
    await invariants.hold(pool)
    return answer, late


@either_way
async def test_the_last_sibling_completes_behind_the_one_before_it(pool, commits):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    b, c = await worker.claim(pipeline, "b", "c")
    _, late = await in_turn(
        pool, lambda one: db.complete(one, [ending(b)], wait=False), worker.report(ending(c)), commits=commits
    )
    assert late.stale == []
    await pipeline.release()
    assert (await pipeline.stage("d"))["status"] == ("queued" if commits else "pending")


@either_way
async def test_a_cancel_behind_a_claim(pool, commits):
    pipeline, worker = await submit(pool), await a_worker(pool)
    requests = requests_of([await pipeline.stage()])
    await in_turn(
        pool,
        lambda c: db.claim(c, worker.id, requests, wait=False),
        pipelines.cancel(pool, pipeline.uuid),
        commits=commits,
    )
    assert await pipeline.statuses() == {"a": "running" if commits else "cancelled"}
    assert await pipeline.status() == ("cancelling" if commits else "cancelled")


@either_way
async def test_a_claim_behind_a_cancel(pool, commits):
    pipeline, worker = await submit(pool), await a_worker(pool)
    requests = requests_of([await pipeline.stage()])
    _, late = await in_turn(
        pool, lambda c: db_pipelines.cancel(c, pipeline.uuid), worker.ask(requests), commits=commits
    )
    assert len(late.claims) == (0 if commits else 1)
    assert ("stage.started a" in await pipeline.history()) is not commits


@either_way
async def test_a_cancel_behind_a_retry(pool, commits):
    """The pipeline has failed, as far as the client can see that asks to cancel it."""
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await worker.fail(pipeline, "b")
    await pipeline.release()
    _, late = await in_turn(
        pool, lambda c: db_pipelines.retry(c, pipeline.uuid), pipelines.cancel(pool, pipeline.uuid), commits=commits
    )
    assert isinstance(late, Conflict) is not commits
    assert await pipeline.status() == ("cancelled" if commits else "failed")
    assert await pipeline.statuses() == {"a": "completed", "b": "cancelled" if commits else "failed"}


@either_way
async def test_a_retry_behind_a_cancel(pool, commits):
    pipeline = await submit(pool, PAIR)
    _, late = await in_turn(
        pool, lambda c: db_pipelines.cancel(c, pipeline.uuid), pipelines.retry(pool, pipeline.uuid), commits=commits
    )
    assert isinstance(late, Conflict) is not commits
    assert await pipeline.status() == "running"
    assert [(await pipeline.stage(name))["dispatch_token"] for name in PAIR] == [1 + commits] * 2


@either_way
async def test_a_late_completion_behind_its_rescue(pool, commits):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await worker.lose_lease()
    _, late = await in_turn(
        pool, lambda c: db.complete(c, [loss(claim)], wait=False), worker.report(ending(claim)), commits=commits
    )
    assert late.stale == ([claim.stage] if commits else [])
    assert await pipeline.outcomes() == ["lost" if commits else "completed"]


@either_way
async def test_a_rescue_behind_a_late_completion(pool, commits):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await worker.lose_lease()
    _, late = await in_turn(
        pool, lambda c: db.complete(c, [ending(claim)], wait=False), stages.rescue(pool, 10), commits=commits
    )
    assert late.stale == ([claim.stage] if commits else [])
    assert await pipeline.statuses() == {"a": "completed" if commits else "retrying"}


@either_way
async def test_a_second_scheduler_behind_the_first(pool, commits):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    await worker.complete(pipeline, "a")
    first, late = await in_turn(
        pool, lambda c: db.release(c, [pipeline.id], batch=500, wait=False), pipeline.release(), commits=commits
    )
    assert len(first.queued) == 2
    assert len(late.queued) == (0 if commits else 2)
    assert (await pipeline.stage("d"))["unmet"] == 2


@either_way
async def test_a_worker_that_stops_in_the_middle_of_a_batch(pool, commits):
    """The rescuer goes on with the pipeline that the worker had no part in, and waits for the others."""
    one, other, third = [await submit(pool) for _ in range(3)]
    worker = await a_worker(pool)
    claims = [await worker.start(pipeline) for pipeline in (one, other, third)]
    await worker.lose_lease()
    await in_turn(
        pool, lambda c: db.complete(c, map(ending, claims[:2]), wait=False), stages.rescue(pool, 10), commits=commits
    )
    assert await third.statuses() == {"a": "retrying"}
    assert [await pipeline.outcomes() for pipeline in (one, other)] == [["completed" if commits else "lost"]] * 2


@either_way
async def test_a_claim_repeated_behind_itself(pool, commits):
    """Its worker has heard nothing, neither an answer nor that the connection was lost."""
    pipeline, worker = await submit(pool), await a_worker(pool)
    requests = requests_of([await pipeline.stage()])
    first, late = await in_turn(
        pool, lambda c: db.claim(c, worker.id, requests, wait=False), worker.ask(requests), commits=commits
    )
    assert [claim.lease_token for claim in late.claims] == [requests[0].lease_token]
    assert (late.claims == first.claims) is commits
    assert await pipeline.outcomes() == [None]


@either_way
async def test_a_retry_behind_the_last_completion(pool, commits):
    """Nobody has followed up the completion, so the retry has to settle the pipeline itself."""
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    _, late = await in_turn(
        pool,
        lambda c: db.complete(c, [ending(claim, Outcome.FAILED)], wait=False),
        pipelines.retry(pool, pipeline.uuid),
        commits=commits,
    )
    assert isinstance(late, Conflict) is not commits
    assert await pipeline.statuses() == {"a": "queued" if commits else "running"}
    assert ("pipeline.failed" in await pipeline.history()) is commits


@either_way
async def test_a_cancel_behind_a_completion_that_goes_on(pool, commits):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    claim = await worker.start(pipeline)
    await in_turn(
        pool,
        lambda c: db.complete_to_worker(c, [ending(claim)], worker.id, SERVES, most=(2, 4)),
        pipelines.cancel(pool, pipeline.uuid),
        commits=commits,
    )
    assert await pipeline.status() == "cancelling"
    a, b = ("completed", "running") if commits else ("running", "cancelled")
    assert await pipeline.statuses() == {"a": a, "b": b, "c": "cancelled"}


@either_way
async def test_a_completion_that_goes_on_behind_a_cancel(pool, commits):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    claim = await worker.start(pipeline)
    _, late = await in_turn(
        pool,
        lambda c: db_pipelines.cancel(c, pipeline.uuid),
        stages.complete_to_worker(pool, [ending(claim)], worker.id, SERVES),
        commits=commits,
    )
    assert [each.name for each in late.claims] == ([] if commits else ["b"])
    assert await pipeline.status() == ("cancelled" if commits else "running")


@either_way
async def test_a_scheduler_behind_a_completion_that_goes_on(pool, commits):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    claim = await worker.start(pipeline)
    _, late = await in_turn(
        pool,
        lambda c: db.complete_to_worker(c, [ending(claim)], worker.id, SERVES, most=(2, 4)),
        pipeline.release(),
        commits=commits,
    )
    assert (late.queued, late.hints) == ([], [])
    assert (await pipeline.stage("b"))["dispatch_token"] == commits


@either_way
async def test_a_completion_that_goes_on_behind_its_rescue(pool, commits):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    claim = await worker.start(pipeline)
    _, late = await in_turn(
        pool,
        lambda c: db.complete(c, [loss(claim)], wait=False),
        stages.complete_to_worker(pool, [ending(claim)], worker.id, SERVES),
        commits=commits,
    )
    assert late.stale == ([claim.stage] if commits else [])
    assert [each.name for each in late.claims] == ([] if commits else ["b"])


@either_way
async def test_the_last_sibling_goes_on_behind_the_one_before_it(pool, commits):
    """Each tells the join once, and only the second can begin it."""
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    b, c = await worker.claim(pipeline, "b", "c")
    _, late = await in_turn(
        pool,
        lambda one: db.complete_to_worker(one, [ending(b)], worker.id, SERVES, most=(2, 4)),
        stages.complete_to_worker(pool, [ending(c)], worker.id, SERVES),
        commits=commits,
    )
    assert [each.name for each in late.claims] == (["d"] if commits else [])
    assert (await pipeline.stage("d"))["unmet"] == (0 if commits else 1)
