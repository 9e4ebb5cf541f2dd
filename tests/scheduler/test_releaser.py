"""The releaser and the retrier: by sweep they find what no hint has told, and what they queue goes to Redis."""

import asyncio

import pytest

import app.scheduler.releaser
import app.services.stages
from app.queue import JobQueue, open_redis
from app.scheduler.dispatcher import Dispatcher
from app.scheduler.releaser import Releaser
from app.scheduler.retrier import Retrier
from tests.support.jobs import pop, popped
from tests.support.pipelines import CHAIN, DIAMOND, chain, fan, submit
from tests.support.workers import a_worker


@pytest.fixture
def releaser(pool, queue):
    return Releaser(pool, queue)


async def test_a_lost_hint_costs_one_sweep(pool, queue, releaser):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    await worker.complete(pipeline, "a")
    assert await releaser.run_once() == 1
    assert {job.stage for job in await pop(queue)} == {(await pipeline.stage(name))["uuid"] for name in "bc"}
    assert await releaser.run_once() == 0


async def test_a_lost_settlement_costs_one_sweep(pool, releaser, redis):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.complete(pipeline, "a")
    assert await releaser.run_once() == 1
    assert await pipeline.status() == "completed"
    ((_, said),) = await redis.xrange("headway:events")
    assert said[b"s"] == str(await pipeline.seq()).encode()


async def test_a_pipeline_runs_to_its_end_by_sweeps_alone(pool, queue, releaser):
    pipeline, worker = await submit(pool, chain(6)), await a_worker(pool)
    for name in chain(6):
        await worker.complete(pipeline, name)
        await releaser.run_once()
    assert await pipeline.status() == "completed"
    assert len(await pop(queue)) == 5  # all but the root, which its submitter dispatches


async def test_more_than_a_pass_can_take_is_released_in_several(pool, queue, releaser, monkeypatch):
    monkeypatch.setattr(app.scheduler.releaser, "PASS_LIMIT", 2)
    monkeypatch.setattr(app.services.stages, "RELEASE_BATCH", 2)
    shape = {**fan(5), "join": tuple(fan(5))}
    submitted, worker = [await submit(pool, shape) for _ in range(5)], await a_worker(pool)
    for pipeline in submitted:
        await worker.complete(pipeline, *fan(5))
    assert await releaser.run_once() == 5
    assert {(await pipeline.stage("join"))["status"] for pipeline in submitted} == {"queued"}
    assert len(await pop(queue)) == 5


async def test_two_schedulers_sweeping_at_once_dispatch_a_stage_once(pool, queue, releaser):
    pipelines, worker = [await submit(pool, CHAIN) for _ in range(5)], await a_worker(pool)
    for pipeline in pipelines:
        await worker.complete(pipeline, "a")
    await asyncio.gather(*(Releaser(pool, queue).run_once() for _ in range(3)))
    assert sorted(await popped(queue)) == sorted([(await pipeline.stage("b"))["uuid"] for pipeline in pipelines])


async def test_a_release_does_not_need_redis(pool, queue, tmp_path):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.complete(pipeline, "a")
    nowhere = open_redis(f"unix://{tmp_path}/nobody.sock")
    assert await Releaser(pool, JobQueue(nowhere)).run_once() == 1
    assert (await pipeline.stage("b"))["status"] == "queued"
    await nowhere.aclose(close_connection_pool=True)
    assert await Dispatcher(pool, queue).run_once() == 1


async def test_a_retry_that_is_due_is_queued_and_dispatched(pool, queue, releaser):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=0)
    assert await Retrier(releaser).run_once() == 1
    (job,) = await pop(queue)
    assert (job.stage, job.dispatch_token) == ((await pipeline.stage())["uuid"], 2)
    assert await Retrier(releaser).run_once() == 0


async def test_a_retry_that_is_not_due_waits(pool, releaser):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=60)
    assert await Retrier(releaser).run_once() == await releaser.run_once() == 0
    assert (await pipeline.stage())["status"] == "retrying"
