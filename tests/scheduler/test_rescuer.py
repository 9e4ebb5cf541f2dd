"""The rescuer: takes stages from the dead and from nobody else, not even after an outage of its own."""

import asyncio

import pytest

from app.errors import Unavailable
from app.scheduler.releaser import Releaser
from app.scheduler.rescuer import Rescuer
from app.services import stages, workers
from tests.support.jobs import pop
from tests.support.pipelines import CHAIN, submit
from tests.support.workers import a_worker

LEASE_S, INTERVAL_S = 30.0, 5.0


class Clock:
    """The rescuer's own sense of time, which no server influences."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def new_rescuer(pool, queue, clock):
    """One that has only just begun."""
    return Rescuer(Releaser(pool, queue), lease_timeout_s=LEASE_S, interval_s=INTERVAL_S, clock=clock)


@pytest.fixture
async def rescuer(new_rescuer, clock):
    """One that has ticked for longer than a lease."""
    await tick_for_a_lease(clock, new_rescuer)
    return new_rescuer


async def tick_for_a_lease(clock, *rescuers):
    for _ in range(7):
        assert [await rescuer.run_once() for rescuer in rescuers] == [0] * len(rescuers)
        clock.now += INTERVAL_S


async def expire(pool, worker):
    query = "UPDATE workers SET lease_expires_at = clock_timestamp() - interval '1 ms' WHERE id = $1"
    await pool.execute(query, worker.id)


async def test_a_stage_of_a_dead_worker_is_on_its_queue_after_one_tick(pool, queue, rescuer):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    claim = await worker.start(pipeline)
    await expire(pool, worker)
    assert await rescuer.run_once() == 1
    assert (await pipeline.stage())["status"] == "queued"
    (job,) = await pop(queue)
    assert (job.stage, job.dispatch_token) == (claim.stage, 2)
    assert (await worker.beat(claim)).lost
    assert await rescuer.run_once() == 0


async def test_what_it_did_is_told_to_those_who_watch(pool, redis, rescuer):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.start(pipeline)
    await expire(pool, worker)
    await rescuer.run_once()
    last = [fields[b"s"] for _, fields in await redis.xrange("headway:events")][-1]
    assert last == str(await pipeline.seq()).encode()


async def test_a_worker_that_beats_in_time_keeps_its_stages(pool, rescuer, clock):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    for _ in range(10):
        clock.now += INTERVAL_S
        await expire(pool, worker)
        assert not (await worker.beat(claim)).lost
        assert await rescuer.run_once() == 0
    assert (await pipeline.stage())["attempt"] == 1


async def test_a_rescuer_that_was_away_waits_one_lease_before_it_takes_any(pool, rescuer, clock):
    pipeline, dead = await submit(pool), await a_worker(pool)
    await dead.start(pipeline)
    await expire(pool, dead)
    clock.now += 60
    for _ in range(int(LEASE_S / INTERVAL_S)):
        assert await rescuer.run_once() == 0
        clock.now += INTERVAL_S
    assert await rescuer.run_once() == 1


async def test_those_who_live_renew_their_leases_meanwhile(pool, rescuer, clock):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await expire(pool, worker)
    clock.now += 60
    await rescuer.run_once()
    assert not (await worker.beat(claim)).lost
    for _ in range(20):
        clock.now += INTERVAL_S
        assert await rescuer.run_once() == 0
    assert (await pipeline.stage())["status"] == "running"


async def test_an_outage_of_postgres_condemns_nobody(pool, rescuer, clock, monkeypatch):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await expire(pool, worker)
    with monkeypatch.context() as outage:
        outage.setattr(stages, "enforce_timeouts", _unavailable)
        for _ in range(12):
            with pytest.raises(Unavailable):
                await rescuer.run_once()
            clock.now += INTERVAL_S
    assert await rescuer.run_once() == 0
    assert not (await worker.beat(claim)).lost


@pytest.mark.parametrize("statement", ["enforce_timeouts", "rescue"])
async def test_nor_does_a_freeze_of_postgres_in_the_middle_of_a_tick(pool, rescuer, clock, monkeypatch, statement):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    ask = getattr(stages, statement)

    async def frozen(*arguments):
        await expire(pool, worker)
        clock.now += 60
        return await ask(*arguments)

    with monkeypatch.context() as freeze:
        freeze.setattr(stages, statement, frozen)
        assert await rescuer.run_once() == 0
    clock.now += INTERVAL_S
    assert await rescuer.run_once() == 0
    assert not (await worker.beat(claim)).lost


async def _unavailable(*_):
    raise Unavailable("Postgres is away")


async def test_one_late_tick_is_no_absence(pool, rescuer, clock):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.start(pipeline)
    await expire(pool, worker)
    clock.now += INTERVAL_S
    assert await rescuer.run_once() == 1


async def test_a_worker_that_has_left_is_dead_beyond_doubt(pool, rescuer, clock):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.start(pipeline)
    await workers.leave(pool, worker.id, "stopped")
    clock.now += 60
    assert await rescuer.run_once() == 1


async def test_it_enforces_timeouts_too(pool, rescuer):
    pipeline, worker = await submit(pool, timeout_s=10.0), await a_worker(pool)
    await worker.start(pipeline)
    await pool.execute("UPDATE stages SET started_at = started_at - interval '71 s'")
    assert await rescuer.run_once() == 1
    assert await pipeline.outcomes() == ["timed_out"]
    assert await pipeline.status() == "failed"


async def test_two_rescuers_at_once_count_one_loss(pool, queue, clock):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.start(pipeline)
    rescuers = [
        Rescuer(Releaser(pool, queue), lease_timeout_s=LEASE_S, interval_s=INTERVAL_S, clock=clock) for _ in range(3)
    ]
    await tick_for_a_lease(clock, *rescuers)
    await expire(pool, worker)
    await asyncio.gather(*(rescuer.run_once() for rescuer in rescuers))
    assert (await pipeline.stage())["losses"] == 1
    assert (await pipeline.history()).count("stage.retrying a") == 1
    assert len(await pop(queue)) == 1


async def test_one_that_begins_after_an_outage_takes_no_lease_before_everybody_has_had_the_time_to_renew(
    pool, new_rescuer, clock
):
    pipeline, live, dead = await submit(pool, {"a": (), "b": ()}), await a_worker(pool), await a_worker(pool)
    claim, other = await live.start(pipeline, "a"), await dead.start(pipeline, "b")
    await expire(pool, live)
    await expire(pool, dead)
    for _ in range(6):
        assert await new_rescuer.run_once() == 0
        clock.now += INTERVAL_S
    assert not (await live.beat(claim)).lost
    assert await new_rescuer.run_once() == 1
    assert await pipeline.statuses() == {"a": "running", "b": "queued"}
    assert (await dead.beat(other)).lost
