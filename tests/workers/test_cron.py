"""Periodic tasks in a worker: it runs the slots that it gets, and says how each ended."""

import asyncio
from uuid import uuid4

import pytest

from app.errors import Unavailable
from app.queue import JobQueue, open_redis
from app.services import periodic
from schemas.queue import Queue
from tests.support.locks import until
from tests.support.workers import ScriptedWorker
from workers.cron import PERIODIC, Clockwork, Periodic
from workers.room import Room
from workers.tasks.built_in import BUILT_IN
from workers.worker import HeadwayWorker


@pytest.fixture
async def room(settings, pool, queue):
    room = Room(uuid4(), settings, pool, queue, BUILT_IN)
    await ScriptedWorker(pool, room.worker).register()
    return room


async def run_of(room, function, **options):
    """Run one slot of a task to its end."""
    clockwork = Clockwork(room, [Periodic("it", 3_600, function, **options)])
    await clockwork.tick({})
    await asyncio.gather(*clockwork.running)
    (task,) = await periodic.every(room.pool)
    return task.last_run


async def test_it_gets_the_room_and_says_how_much_there_was_to_do(room):
    async def it(got):
        assert got is room
        return 7

    run = await run_of(room, it)
    assert (run.outcome, run.done, run.error) == ("completed", 7, None)


async def test_one_that_raises_has_failed_with_its_words(room):
    async def it(_):
        raise TimeoutError("no disk")

    run = await run_of(room, it)
    assert (run.outcome, run.error) == ("failed", {"code": "timeout", "message": "TimeoutError: no disk"})


async def test_one_that_takes_too_long_is_given_up(room):
    run = await run_of(room, lambda _: asyncio.sleep(60), timeout_s=0.01)
    assert (run.outcome, run.error["message"]) == ("timed_out", "It took longer than 0.01 s.")


async def test_how_it_ended_is_told_when_postgres_is_back(room, monkeypatch):
    told, finish = [], periodic.finish

    async def away(*arguments, **options):
        told.append(arguments)
        if len(told) < 3:
            raise Unavailable("no Postgres")
        await finish(*arguments, **options)

    async def it(_):
        return 1

    monkeypatch.setattr(periodic, "finish", away)
    monkeypatch.setattr("workers.cron.PAUSE_S", 0.001)
    assert (await run_of(room, it)).outcome == "completed"
    assert len(told) == 3


async def test_one_whose_worker_leaves_is_cancelled(room):
    clockwork = Clockwork(room, [Periodic("it", 3_600, lambda _: asyncio.sleep(60))])
    await clockwork.tick({})
    await asyncio.sleep(0)
    await clockwork.stop()
    (task,) = await periodic.every(room.pool)
    assert task.last_run.outcome == "cancelled"


async def test_a_worker_ticks_by_arqs_cron_and_ends_with_the_drain(room, valkey, pool, monkeypatch):
    monkeypatch.setattr("workers.worker.TICK_SECONDS", range(60))
    blocking = open_redis(valkey.url, blocking=True)
    worker = HeadwayWorker(room, JobQueue(blocking), [Queue.DEFAULT])
    serving = asyncio.create_task(worker.main())
    await until(lambda: pool.fetchval("SELECT count(*) FROM periodic_runs WHERE outcome = 'completed'"))
    worker.drain()
    await asyncio.wait_for(serving, 10)
    await worker.close()
    await blocking.aclose(close_connection_pool=True)
    assert [task.name for task in await periodic.every(pool)] == sorted(task.name for task in PERIODIC)
