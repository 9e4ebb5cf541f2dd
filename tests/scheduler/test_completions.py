"""Completions: hints say where to look; losing them, or finding rubbish among them, costs nothing."""

import asyncio

import pytest

import app.scheduler.completions
from app.scheduler.completions import Completions
from app.scheduler.releaser import Releaser
from schemas.stage import Hint
from tests.support.jobs import pop
from tests.support.locks import until
from tests.support.pipelines import CHAIN, DIAMOND, submit
from tests.support.workers import a_worker, ending

STREAM = "headway:completions"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Nobody waits for news that does not come."""
    monkeypatch.setattr(app.scheduler.completions, "BLOCK_MS", 10)


def a_duty(pool, queue):
    return Completions(queue, Releaser(pool, queue))


@pytest.fixture
async def completions(pool, queue):
    """A scheduler that listens already."""
    duty = a_duty(pool, queue)
    await duty.run_once()
    return duty


async def complete(pool, queue, pipeline, *names):
    """What a worker does: commit, then hint."""
    worker = await a_worker(pool)
    answer = await worker.report(*map(ending, await worker.claim(pipeline, *names)))
    await queue.hint(answer.hints)


async def test_a_completion_releases_and_dispatches_what_waited_for_it(pool, queue, completions):
    pipeline = await submit(pool, DIAMOND)
    await complete(pool, queue, pipeline, "a")
    assert await completions.run_once() == 1
    assert await pipeline.statuses() == {"a": "completed", "b": "queued", "c": "queued", "d": "pending"}
    assert {job.stage for job in await pop(queue)} == {(await pipeline.stage(name))["uuid"] for name in "bc"}
    assert await completions.run_once() == 0


async def test_what_it_released_is_told_to_those_who_watch(pool, queue, redis, completions):
    pipeline = await submit(pool, CHAIN)
    await complete(pool, queue, pipeline, "a")
    await completions.run_once()
    *_, (_, said) = await redis.xrange("headway:events")
    assert (said[b"p"], said[b"s"]) == (str(pipeline.uuid).encode(), str(await pipeline.seq()).encode())
    assert await redis.xlen(STREAM) == 1


async def test_other_news_is_none_of_its_business(pool, queue, redis, completions):
    pipeline = await submit(pool, CHAIN)
    await queue.hint([Hint(pipeline.id, pipeline.uuid, 1, releasable=False)])
    assert await completions.run_once() == 0
    assert await redis.xlen(STREAM) == 0


async def test_a_scheduler_that_joins_catches_up_with_what_was_said_before(pool, queue):
    pipeline = await submit(pool, CHAIN)
    await complete(pool, queue, pipeline, "a")
    assert await a_duty(pool, queue).run_once() == 1
    assert (await pipeline.stage("b"))["status"] == "queued"


async def test_after_flushall_it_joins_anew_and_catches_up(pool, queue, redis, completions):
    pipeline = await submit(pool, CHAIN)
    await complete(pool, queue, pipeline, "a")
    await redis.flushall()
    assert await completions.run_once() == 1
    assert (await pipeline.stage("b"))["status"] == "queued"
    await complete(pool, queue, pipeline, "b")
    assert await completions.run_once() == 1
    assert (await pipeline.stage("c"))["status"] == "queued"


async def test_a_flushall_while_it_waits_is_noticed(pool, queue, redis, completions, monkeypatch):
    monkeypatch.setattr(app.scheduler.completions, "BLOCK_MS", 4_000)
    waiting = asyncio.create_task(completions.run_once())
    await until(lambda: _blocked(redis))
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await redis.flushall()
    assert await waiting == 1
    assert (await pipeline.stage("b"))["status"] == "queued"
    assert [group["name"] for group in await redis.xinfo_groups(STREAM)] == [b"schedulers"]


async def _blocked(redis):
    return (await redis.info("clients"))["blocked_clients"] > 0


async def test_two_schedulers_that_join_at_once_both_succeed(pool, queue):
    duties = [a_duty(pool, queue), a_duty(pool, queue)]
    assert await asyncio.gather(*(duty._join() for duty in duties)) == [0, 0]


async def test_a_hint_is_heard_by_one_of_many_schedulers(pool, queue, completions):
    pipeline, other = await submit(pool, CHAIN), a_duty(pool, queue)
    await complete(pool, queue, pipeline, "a")
    assert sorted([await completions.run_once(), await other.run_once()]) == [0, 1]


@pytest.mark.parametrize(
    "rubbish",
    [
        {"i": ""},
        {"i": "x"},
        {"i": "-7"},
        {"i": "²"},
        {"i": "9" * 30},
        {"i": b"\xff\x00"},
        {"i": 2**62},
        {"colour": "red"},
    ],
)
async def test_rubbish_on_the_stream_does_no_harm_to_its_neighbours(pool, queue, redis, completions, rubbish):
    pipeline = await submit(pool, CHAIN)
    await redis.xadd(STREAM, rubbish)
    await complete(pool, queue, pipeline, "a")
    await redis.xadd(STREAM, rubbish)
    await completions.run_once()
    assert (await pipeline.stage("b"))["status"] == "queued"


async def test_what_it_has_read_is_not_kept_for_it(pool, queue, redis, completions):
    pipeline = await submit(pool, CHAIN)
    await complete(pool, queue, pipeline, "a")
    await completions.run_once()
    (group,) = await redis.xinfo_groups(STREAM)
    assert (group["pending"], group["consumers"]) == (0, 1)
