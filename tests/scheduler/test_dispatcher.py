"""The dispatcher: whatever is queued in Postgres is on Redis in the end, whatever happened to Redis."""

import pytest

import app.queue
import app.scheduler.dispatcher
from app.embedded import start_valkey
from app.queue import JobQueue, open_redis
from app.scheduler.dispatcher import Dispatcher
from tests.support.jobs import pop, popped
from tests.support.pipelines import CHAIN, PAIR, all_queued, fan, submit
from tests.support.workers import a_worker

AGE = "UPDATE stages SET queued_at = queued_at - interval '10 s' WHERE status = 'queued'"


@pytest.fixture
async def dispatcher(pool, queue):
    """One that knows this Redis already."""
    duty = Dispatcher(pool, queue)
    await duty.run_once()
    return duty


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(app.scheduler.dispatcher, "PAGE", 2)


async def test_a_new_redis_gets_everything_that_is_queued_page_by_page(pool, queue, small_pages):
    await submit(pool, fan(5))
    assert await Dispatcher(pool, queue).run_once() == 5
    assert await popped(queue) == [stage.stage for stage in await all_queued(pool)]


async def test_after_flushall_everything_is_dispatched_again(pool, queue, redis, dispatcher, small_pages):
    await submit(pool, fan(5))
    await queue.dispatch(await all_queued(pool))
    await redis.flushall()
    assert await dispatcher.run_once() == 5
    assert await queue.is_complete()


async def test_a_paused_pipeline_does_not_hide_what_is_queued_behind_it(pool, queue, small_pages):
    paused, running = await submit(pool, fan(3)), await submit(pool, fan(5))
    await paused.set(status="paused")
    assert await Dispatcher(pool, queue).run_once() == 5
    assert set((await running.statuses()).values()) == {"queued"}


async def test_nor_does_it_when_single_jobs_are_looked_for(pool, queue, dispatcher, small_pages):
    paused, _ = await submit(pool, fan(3)), await submit(pool, fan(5))
    await paused.set(status="paused")
    await pool.execute(AGE)
    assert [await dispatcher.run_once() for _ in range(4)] == [2, 2, 1, 0]


async def test_only_what_is_queued_in_running_pipelines_is_dispatched(pool, queue):
    worker, pipeline = await a_worker(pool), await submit(pool, {**CHAIN, "x": (), "y": ()})
    await submit(pool, start=False)
    paused = await submit(pool)
    await paused.set(status="paused")
    await worker.complete(pipeline, "a")
    await worker.start(pipeline, "x")
    assert await Dispatcher(pool, queue).run_once() == 1
    assert await popped(queue) == [(await pipeline.stage("y"))["uuid"]]


async def test_a_single_lost_job_is_found_by_and_by(pool, queue, redis, dispatcher):
    await submit(pool, fan(5))
    await pool.execute(AGE)
    await queue.dispatch(stages := await all_queued(pool))
    await redis.zrem("headway:queue:default:inline", f"{stages[3].stage}:1")
    assert await dispatcher.run_once() == 1
    assert await dispatcher.run_once() == 0
    assert await popped(queue) == [stage.stage for stage in stages]


async def test_it_walks_through_all_pages_and_begins_anew(pool, queue, dispatcher, small_pages):
    await submit(pool, fan(5))
    await pool.execute(AGE)
    assert [await dispatcher.run_once() for _ in range(3)] == [2, 2, 1]
    await pop(queue, 1)
    await queue.redis.delete("headway:inflight")
    assert [await dispatcher.run_once() for _ in range(3)] == [1, 0, 0]


async def test_what_was_queued_just_now_is_left_to_whoever_queued_it(pool, queue, dispatcher):
    await submit(pool)
    assert await dispatcher.run_once() == 0


async def test_jobs_of_a_worker_that_died_between_pop_and_claim_return(pool, queue, dispatcher, monkeypatch):
    await submit(pool, PAIR)
    await queue.dispatch(await all_queued(pool))
    monkeypatch.setattr(app.queue, "IN_FLIGHT_MS", -1)
    jobs = await pop(queue)
    await dispatcher.run_once()
    assert await pop(queue) == jobs


async def test_a_restarted_redis_is_a_new_one_even_if_it_has_kept_its_data(pool, tmp_path):
    server = start_valkey(tmp_path)
    redis = open_redis(server.url)
    dispatcher = Dispatcher(pool, JobQueue(redis))
    await dispatcher.run_once()
    server.stop()
    server = start_valkey(tmp_path)
    try:
        assert await redis.get("headway:epoch") is not None
        await submit(pool)
        assert await dispatcher.run_once() == 1
        assert await dispatcher.queue.is_complete()
    finally:
        await redis.aclose(close_connection_pool=True)
        server.stop()
