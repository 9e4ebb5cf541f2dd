"""At once: a worker with idle slots begins what its own outcomes made possible, without the way through Redis."""

import asyncio
from contextlib import contextmanager
from uuid import uuid4

import pytest

from app.queue import JobQueue, open_redis
from app.services import stages
from schemas.queue import QUEUES_BY_PRIORITY, Queue, Slot
from tests.support.jobs import pop
from tests.support.locks import until
from tests.support.pipelines import CHAIN, submit
from tests.support.workers import ScriptedWorker, ending
from workers.room import Room
from workers.tasks.built_in import BUILT_IN
from workers.worker import HeadwayWorker

WIDE = {"a": (), **dict.fromkeys("bcde", ("a",))}


@pytest.fixture
async def worker(settings, pool, queue, valkey):
    """A real one that looks for nothing by itself; its queues were empty."""
    blocking = open_redis(valkey.url, blocking=True)
    room = Room(uuid4(), settings, pool, queue, BUILT_IN)
    await ScriptedWorker(pool, room.worker).register()
    worker = HeadwayWorker(room, JobQueue(blocking), QUEUES_BY_PRIORITY)
    for slots in worker.slots.values():
        slots.is_idle = True
    yield worker
    await worker.runner.completer.drained()  # what it tells when all is committed needs its connections
    worker.lease._own_loop.close()  # of a thread that never began
    await blocking.aclose(close_connection_pool=True)


async def run_first(worker, pool, queue, shape, slot=Slot.INLINE, **options):
    """Start a pipeline and let the worker run its first stage."""
    pipeline = await submit(pool, shape, **options)
    first = await pipeline.stage(next(iter(shape)))
    await queue.dispatch(await stages.queued_after(pool, stages.FIRST, min_age_s=0, limit=100))
    await worker._start(slot, [job for job in await pop(queue, slot=slot) if job.stage == first["uuid"]])
    return pipeline


async def dispatched(pipeline, queue, *names, slot=Slot.INLINE):
    """Whether exactly these stages are on their queue."""
    return {job.stage for job in await pop(queue, slot=slot)} == {(await pipeline.stage(n))["uuid"] for n in names}


async def has_ended(pipeline):
    return await pipeline.status() == "completed"


async def test_a_chain_runs_to_its_end_though_nothing_is_taken_from_a_queue(worker, pool, queue, redis):
    pipeline = await run_first(worker, pool, queue, CHAIN)
    await until(lambda: has_ended(pipeline))
    await worker.runner.completer.drained()
    assert await dispatched(pipeline, queue)
    assert await redis.keys("arq:job:*") == []


async def test_what_begins_at_once_has_the_same_events_as_any_other(worker, pool, queue):
    pipeline = await run_first(worker, pool, queue, CHAIN)
    await until(lambda: has_ended(pipeline))
    await worker.runner.completer.drained()
    of_b = [event for event in await pipeline.history() if event.endswith(" b")]
    assert of_b == ["stage.queued b", "stage.started b", "stage.completed b"]


@pytest.mark.parametrize("hindrance", ["not idle", "full", "in doubt", "draining"])
async def test_a_worker_that_has_no_idle_slot_leaves_it_to_the_queue(worker, pool, queue, hindrance):
    inline = worker.slots[Slot.INLINE]
    match hindrance:
        case "not idle":
            inline.is_idle = False
        case "full":
            inline.capacity = 0
        case "draining":
            worker.draining.set()
    pipeline = await submit(pool, CHAIN)
    claim = await ScriptedWorker(pool, worker.room.worker).start(pipeline, "a")
    worker.room.hold(claim)
    if hindrance == "in doubt":
        worker.leased.clear()
    await complete(worker, claim)
    assert await dispatched(pipeline, queue, "b")
    assert (await pipeline.stage("b"))["attempt"] == 0


async def complete(worker, claim):
    worker.runner.completer.put(ending(claim))
    await worker.runner.completer.drained()


async def test_no_more_begin_than_slots_are_free(worker, pool, queue):
    worker.slots[Slot.INLINE].capacity = 4  # of which half are left to the queue
    pipeline = await submit(pool, WIDE)
    claim = await ScriptedWorker(pool, worker.room.worker).start(pipeline, "a")
    with held_back(worker):
        await complete(worker, claim)
        assert sorted((await pipeline.statuses()).values()) == ["completed", *["queued"] * 2, *["running"] * 2]
        assert await dispatched(pipeline, queue, "d", "e")


@contextmanager
def held_back(worker):
    """What begins does not run."""

    async def run(attempt):
        await attempt.stopped()

    worker._run = run
    yield
    worker.room.stop_all("fenced")


async def test_stages_of_other_queues_are_left_to_their_workers(worker, pool, queue):
    worker.queues = [Queue.TRAINING]
    pipeline = await submit(pool, CHAIN)
    await complete(worker, await ScriptedWorker(pool, worker.room.worker).start(pipeline, "a"))
    assert await dispatched(pipeline, queue, "b")


@pytest.fixture
def released_while_the_drain_begins(worker, monkeypatch):
    """Its answer is on the way; the fixture is told when it may come."""
    complete, arrives = stages.complete_to_worker, asyncio.Event()

    async def complete_to_worker(*arguments):
        answer = await complete(*arguments)
        worker.draining.set()
        await arrives.wait()
        return answer

    monkeypatch.setattr(stages, "complete_to_worker", complete_to_worker)
    return arrives


async def test_a_worker_that_drains_runs_what_was_being_claimed_for_it(worker, pool, released_while_the_drain_begins):
    pipeline = await submit(pool, {"a": (), "b": ("a",)})
    claim = await ScriptedWorker(pool, worker.room.worker).start(pipeline, "a")
    worker.runner.completer.put(ending(claim))
    await worker.draining.wait()
    ending_offers = asyncio.create_task(worker._end_offers())
    released_while_the_drain_begins.set()
    await ending_offers
    await until(lambda: has_ended(pipeline))
    assert await pipeline.outcomes("b") == ["completed"]


async def test_an_answer_that_comes_when_it_finishes_goes_on_elsewhere(
    worker, pool, monkeypatch, released_while_the_drain_begins
):
    monkeypatch.setattr("workers.worker.OFFER_S", 0)
    pipeline = await submit(pool, CHAIN)
    worker.runner.completer.put(ending(await ScriptedWorker(pool, worker.room.worker).start(pipeline, "a")))
    await worker.draining.wait()
    await worker._end_offers()
    released_while_the_drain_begins.set()
    await worker.runner.completer.drained()
    stage = await pipeline.stage("b")
    assert stage["status"] in {"retrying", "queued"}
    assert (stage["failures"], stage["losses"]) == (0, 0)
    assert worker.room.attempts == {}


async def test_a_full_worker_passes_on_what_has_woken_it(worker, pool, queue, valkey):
    """A marker wakes one worker; if that has filled up meanwhile, another has to hear of the job."""
    inline = worker.slots[Slot.INLINE]
    serving = asyncio.create_task(worker._serve(Slot.INLINE))
    await until(lambda: is_blocked(queue.redis))
    inline.capacity = 0
    await submit(pool)
    await queue.dispatch(await stages.queued_after(pool, stages.FIRST, min_age_s=0, limit=100))
    other = open_redis(valkey.url, blocking=True)
    async with asyncio.timeout(10):
        await JobQueue(other).wait([Slot.INLINE], QUEUES_BY_PRIORITY, 60)
    await other.aclose(close_connection_pool=True)
    worker.draining.set()
    await serving


async def is_blocked(redis):
    return (await redis.info("clients"))["blocked_clients"] > 0


async def test_slots_are_promised_while_it_is_not_known_what_begins(worker):
    inline = worker.slots[Slot.INLINE]
    free = inline.free
    with worker.offering() as offer:
        assert (offer.serves.inline, inline.free) == (free / 2, free / 2)
    assert inline.free == free
    assert inline.freed.is_set()


async def test_slots_for_what_is_being_claimed_are_not_offered(worker, pool, queue, monkeypatch):
    """What was popped has no attempt yet, and takes a slot all the same."""
    worker.slots[Slot.INLINE].capacity, offered, claim = 1, [], stages.claim

    async def claiming(*arguments):
        with worker.offering() as offer:
            offered.append(offer.serves.inline)
        return await claim(*arguments)

    monkeypatch.setattr(stages, "claim", claiming)
    await run_first(worker, pool, queue, {"a": ()})
    assert offered == [0]
