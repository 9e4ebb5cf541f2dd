"""A job on its way: dispatched once, popped by one, and back in its place if its worker dies."""

import asyncio

import pytest

import app.queue
from app.errors import SetupError
from app.queue import JobQueue, open_redis, require_noeviction
from schemas.queue import QUEUES_BY_PRIORITY, Queue, Slot
from schemas.stage import Hint
from tests.support.jobs import a_job, pop, popped
from tests.support.locks import until


@pytest.fixture
async def blocking(valkey):
    """A second client, for calls that wait."""
    client = open_redis(valkey.url, blocking=True)
    yield JobQueue(client, prefix="headway")
    await client.aclose(close_connection_pool=True)


async def test_a_dispatch_may_be_repeated(queue):
    jobs = [a_job(age_s=20), a_job(age_s=10)]
    assert await queue.dispatch(jobs) == 2
    assert await queue.dispatch(jobs[::-1]) == 0
    assert (await queue.depths())["default"] == 2
    assert await popped(queue) == [job.stage for job in jobs]


async def test_a_large_dispatch_goes_in_batches(queue, monkeypatch):
    monkeypatch.setattr(app.queue, "DISPATCH_BATCH", 3)
    assert await queue.dispatch([a_job() for _ in range(8)]) == 8
    assert len(await pop(queue)) == 8


async def test_a_redis_that_has_forgotten_the_scripts_is_told_them_without_a_pause(queue, redis, monkeypatch):
    async def pause(seconds):
        pytest.fail(f"waited {seconds} s")

    await redis.script_flush()
    monkeypatch.setattr("redis.asyncio.retry.sleep", pause)
    assert await queue.dispatch([a_job()]) == 1


async def test_what_a_worker_has_just_popped_is_not_dispatched_again(queue):
    job = a_job()
    await queue.dispatch([job])
    assert len(await pop(queue)) == 1
    assert await queue.dispatch([job]) == 0
    assert await pop(queue) == []


async def test_what_is_settled_leaves_nothing_behind(queue, redis):
    await queue.dispatch([a_job(), a_job()])
    await queue.settle(await pop(queue))
    assert set(await redis.keys()) <= {b"headway:wake:default:inline"}


async def test_what_is_put_back_keeps_its_place(queue):
    jobs = [a_job(age_s=age_s) for age_s in (30, 20, 10)]
    await queue.dispatch(jobs)
    first, second = await pop(queue, 2)
    await queue.put_back([second, first])
    assert await popped(queue) == [job.stage for job in jobs]


async def test_what_is_put_back_may_be_dispatched_and_popped_like_any_other(queue):
    job = a_job(Queue.TRAINING, slot=Slot.PROCESS)
    await queue.dispatch([job])
    await queue.put_back(await pop(queue, slot=Slot.PROCESS))
    assert await queue.dispatch([job]) == 0
    assert [popped.stage for popped in await pop(queue, slot=Slot.PROCESS)] == [job.stage]


async def test_what_is_put_back_is_no_longer_in_flight(queue, redis):
    job = a_job()
    await queue.dispatch([job])
    await queue.put_back(await pop(queue))
    await redis.delete("headway:queue:default:inline")
    assert await queue.dispatch([job]) == 1


async def test_a_job_whose_worker_died_returns_to_its_queue(queue, monkeypatch):
    monkeypatch.setattr(app.queue, "IN_FLIGHT_MS", -1)
    jobs = [a_job(age_s=20), a_job(age_s=10)]
    await queue.dispatch(jobs)
    assert len(await pop(queue)) == 2
    assert await queue.put_back_stale() == 2
    assert await queue.put_back_stale() == 0
    assert await popped(queue) == [job.stage for job in jobs]


async def test_a_job_whose_worker_is_claiming_it_is_left_alone(queue):
    await queue.dispatch([a_job()])
    await pop(queue)
    assert await queue.put_back_stale() == 0


async def test_a_settled_job_does_not_return(queue, monkeypatch):
    monkeypatch.setattr(app.queue, "IN_FLIGHT_MS", -1)
    await queue.dispatch([a_job()])
    jobs = await pop(queue)
    await queue.settle(jobs)
    await queue.put_back(jobs)
    assert await queue.put_back_stale() == 0
    assert await pop(queue) == []


async def test_no_two_workers_get_the_same_job(queue):
    jobs = [a_job() for _ in range(200)]
    await queue.dispatch(jobs)
    batches = await asyncio.gather(*(pop(queue, 17) for _ in range(20)))
    got = [job.stage for batch in batches for job in batch]
    assert sorted(got) == sorted(job.stage for job in jobs)


async def test_a_job_without_a_body_is_dropped_and_may_be_dispatched_again(queue, redis):
    job, other = a_job(age_s=10), a_job()
    await queue.dispatch([job, other])
    await redis.delete(f"arq:job:{job.stage}:1")
    assert await popped(queue) == [other.stage]
    assert await queue.dispatch([job]) == 1
    assert await popped(queue) == [job.stage]


async def test_garbage_in_a_queue_is_dropped_and_its_neighbours_stay_in_flight(queue, redis, monkeypatch):
    monkeypatch.setattr(app.queue, "IN_FLIGHT_MS", -1)
    job, broken = a_job(), a_job(age_s=10)
    await queue.dispatch([job, broken])
    await redis.set(f"arq:job:{broken.stage}:1", b"\x80\x04no message")
    await redis.zadd("headway:queue:default:inline", {"rm -rf /": 0, f"{job.stage}:x": 1, b"\xff\x00": 2})
    for name in (b"rm -rf /", f"{job.stage}:x".encode(), b"\xff\x00"):
        await redis.set(b"arq:job:" + name, await redis.get(f"arq:job:{job.stage}:1") or b"")
    assert await popped(queue) == [job.stage]
    assert await queue.put_back_stale() == 1
    assert await popped(queue) == [job.stage]
    assert await redis.keys("arq:job:*") == [f"arq:job:{job.stage}:1".encode()]


async def test_a_dispatch_wakes_a_waiting_worker(queue, blocking):
    waiting = asyncio.create_task(blocking.wait([Slot.INLINE], QUEUES_BY_PRIORITY, 60))
    await queue.dispatch([a_job()])
    await asyncio.wait_for(waiting, 10)


async def test_who_leaves_work_behind_wakes_the_next(queue, valkey, blocking):
    """Two wait, two jobs come with one marker: the first worker passes it on, the second finds no work and keeps it."""
    waiting = {asyncio.create_task(blocking.wait([Slot.INLINE], QUEUES_BY_PRIORITY, 60)) for _ in range(2)}
    await queue.dispatch([a_job(), a_job()])
    async with asyncio.timeout(10):
        _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert len(waiting) == 1
        assert len(await pop(queue, 1)) == 1
        await asyncio.wait(waiting)
    assert len(await pop(queue, 1)) == 1
    assert await queue.redis.exists("headway:wake:default:inline") == 0


async def test_a_job_that_returns_wakes_a_worker_too(queue, blocking):
    await queue.dispatch([a_job()])
    await blocking.wait([Slot.INLINE], QUEUES_BY_PRIORITY, 60)
    jobs = await pop(queue)
    waiting = asyncio.create_task(blocking.wait([Slot.INLINE], QUEUES_BY_PRIORITY, 60))
    await queue.put_back(jobs)
    await asyncio.wait_for(waiting, 10)


async def test_depths_count_both_kinds_of_slot(queue):
    await queue.dispatch([a_job(), a_job(slot=Slot.PROCESS), a_job(Queue.TRAINING)])
    assert {name: depth for name, depth in (await queue.depths()).items() if depth} == {"default": 2, "training": 1}


async def test_a_hint_says_where_to_look_and_whether_to_release(queue, redis):
    job = a_job()
    await queue.hint([Hint(7, job.stage, 3, releasable=True), Hint(8, job.stage, 1, releasable=False)])
    news, completions = [[f for _, f in await redis.xrange(f"headway:{name}")] for name in ("events", "completions")]
    uuid = str(job.stage).encode()
    assert news == [{b"p": uuid, b"s": b"3"}, {b"p": uuid, b"s": b"1"}]
    assert completions == [{b"i": b"7"}]


async def test_nothing_to_say_is_no_error(queue, redis):
    await queue.hint([])
    await queue.settle([])
    await queue.put_back([])
    assert await queue.dispatch([]) == 0
    assert await redis.keys() == []


async def test_a_closed_client_leaves_no_connection_behind(valkey, redis):
    connected = len(await redis.client_list())
    other = open_redis(valkey.url)
    await other.ping()
    assert len(await redis.client_list()) == connected + 1
    await other.aclose()
    await until(lambda: _count_is(redis, connected))


async def _count_is(redis, count):
    return len(await redis.client_list()) == count


async def test_a_redis_that_may_throw_jobs_away_is_refused(redis):
    await require_noeviction(redis)
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(SetupError, match="noeviction"):
            await require_noeviction(redis)
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")
