"""Beat: a worker renews its lease and hears what has become of the stages it holds."""

import asyncio
from uuid import uuid4

import pytest
from msgspec.structs import replace

from app.db import workers as workers_db
from app.services import pipelines, workers
from tests.support.locks import until_waiting
from tests.support.pipelines import PAIR, submit
from tests.support.workers import ScriptedWorker, a_worker, loss, requests_of

EXPIRES = "SELECT lease_expires_at FROM workers WHERE id = $1"
LEASE = "SELECT lease_expires_at - clock_timestamp() AS left, state FROM workers WHERE id = $1"


async def test_a_beat_renews_the_lease(pool):
    worker = await a_worker(pool, lease_s=1)
    beat = await worker.beat(lease_s=60)
    assert not beat.lost
    assert 59 < (await pool.fetchrow(LEASE, worker.id))["left"].total_seconds() <= 60


async def test_a_worker_that_is_leaving_keeps_its_lease_while_it_beats(pool):
    worker = await a_worker(pool, lease_s=1)
    await workers.leave(pool, worker.id, "draining")
    assert not (await worker.beat(lease_s=60)).lost
    assert (await pool.fetchrow(LEASE, worker.id))["left"].total_seconds() > 59


async def test_a_late_beat_renews_a_lease_that_nobody_has_taken(pool):
    worker = await a_worker(pool, lease_s=-1)
    assert not (await worker.beat()).lost
    assert await workers.expire(pool) == 0


async def test_of_two_beats_at_once_the_one_that_waited_does_not_set_the_lease_back(pool):
    """The first hangs at a lock, and its worker has long beaten again."""
    worker = await a_worker(pool)
    async with pool.acquire() as c, c.transaction():
        await c.execute("SELECT FROM workers WHERE id = $1 FOR NO KEY UPDATE", worker.id)
        hanging = asyncio.create_task(worker.beat(lease_s=60))
        await until_waiting(pool, 1)
        await workers_db.beat(c, worker.id, 60, [])
        renewed = (await c.fetchrow(EXPIRES, worker.id))["lease_expires_at"]
    await hanging
    assert (await pool.fetchrow(EXPIRES, worker.id))["lease_expires_at"] >= renewed


async def test_a_worker_whose_lease_was_taken_is_told_so_and_gets_it_back_never(pool):
    worker = await a_worker(pool)
    await worker.lose_lease()
    assert (await worker.beat()).lost
    assert (await pool.fetchrow(LEASE, worker.id))["state"] == "lost"


async def test_a_worker_that_has_stopped_or_never_registered_has_no_lease(pool):
    worker = await a_worker(pool)
    await workers.leave(pool, worker.id, "stopped")
    assert (await worker.beat()).lost
    assert (await ScriptedWorker(pool).beat()).lost


async def test_a_lost_worker_does_not_come_back_by_leaving(pool):
    worker = await a_worker(pool)
    await worker.lose_lease()
    await workers.leave(pool, worker.id, "draining")
    assert (await worker.beat()).lost


async def test_what_it_holds_and_may_go_on_with_is_not_mentioned(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    beat = await worker.beat(await worker.start(pipeline))
    assert beat.cancelled == beat.fenced == beat.strangers == []


async def test_it_hears_of_cancels(pool):
    pipeline, other, worker = await submit(pool), await submit(pool, PAIR), await a_worker(pool)
    claim, (singly, spared) = await worker.start(pipeline), await worker.claim(other, "a", "b")
    await pipelines.cancel(pool, pipeline.uuid)
    await pool.execute("UPDATE stages SET cancel_asked = true WHERE uuid = $1", singly.stage)
    beat = await worker.beat(claim, singly, spared)
    assert sorted(beat.cancelled) == sorted([claim.lease_token, singly.lease_token])
    assert beat.fenced == beat.strangers == []


async def test_it_hears_what_is_no_longer_its_own(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    a, b = await worker.claim(pipeline, "a", "b")
    await worker.report(loss(a))
    forged = replace(b, lease_token=uuid4())
    beat = await worker.beat(a, b, forged)
    assert sorted(beat.fenced) == sorted([a.lease_token, forged.lease_token])


async def test_it_hears_that_another_worker_has_its_stage_now(pool):
    pipeline, worker, heir = await submit(pool), await a_worker(pool), await a_worker(pool)
    old = await worker.start(pipeline)
    await worker.report(loss(old))
    await pipeline.release()
    new = await heir.start(pipeline)
    assert (await worker.beat(old)).fenced == [old.lease_token]
    beat = await heir.beat(new)
    assert beat.fenced == beat.strangers == []


@pytest.mark.parametrize(("age_s", "strangers"), [(29, 0), (31, 1)])
async def test_a_claim_it_never_heard_of_is_a_stranger_after_a_whole_lease(pool, age_s: int, strangers: int):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pool.execute("UPDATE stages SET started_at = started_at - $1 * interval '1 second'", age_s)
    found = (await worker.beat(lease_s=30)).strangers
    assert [(each.stage, each.attempt, each.lease_token) for each in found] == [
        (claim.stage, 1, claim.lease_token)
    ] * strangers


async def test_a_stranger_that_is_held_under_another_token_is_both(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pool.execute("UPDATE stages SET started_at = started_at - interval '1 hour'")
    forged = replace(claim, lease_token=uuid4())
    beat = await worker.beat(forged)
    assert beat.fenced == [forged.lease_token]
    assert [each.lease_token for each in beat.strangers] == [claim.lease_token]


async def test_stages_of_others_are_none_of_its_business(pool):
    pipeline, worker, other = await submit(pool), await a_worker(pool), await a_worker(pool)
    await other.ask(requests_of([await pipeline.stage()]))
    await pool.execute("UPDATE stages SET started_at = started_at - interval '1 hour'")
    await pipelines.cancel(pool, pipeline.uuid)
    beat = await worker.beat()
    assert beat.cancelled == beat.fenced == beat.strangers == []
