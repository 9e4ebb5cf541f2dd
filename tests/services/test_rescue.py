"""Rescue: the stages of dead workers go on elsewhere, those of live ones are left alone."""

import asyncio

import pytest

from app.core.retry import LOSSES_MAX
from app.db import workers as db_workers
from app.services import pipelines, stages, workers
from tests.support.pipelines import CHAIN, PAIR, submit
from tests.support.workers import a_worker


async def rescue(pool):
    return await stages.rescue(pool, 100)


async def test_only_leases_that_have_run_out_are_taken(pool):
    live, dead, leaving = await a_worker(pool), await a_worker(pool, lease_s=-1), await a_worker(pool, lease_s=-1)
    await workers.leave(pool, leaving.id, "draining")
    assert await workers.expire(pool) == 2
    states = dict(await pool.fetch("SELECT id, state FROM workers"))
    assert states == {live.id: "live", dead.id: "lost", leaving.id: "lost"}
    assert await workers.expire(pool) == 0


async def test_a_worker_that_has_stopped_is_not_lost(pool):
    worker = await a_worker(pool, lease_s=-1)
    await workers.leave(pool, worker.id, "stopped")
    assert await workers.expire(pool) == 0


async def test_a_lease_that_is_just_being_renewed_is_not_taken_nor_waited_for(pool):
    worker = await a_worker(pool, lease_s=-1)
    async with pool.acquire() as c, c.transaction(), asyncio.timeout(5):
        await db_workers.beat(c, worker.id, 30, [])
        assert await workers.expire(pool) == 0
    assert await workers.expire(pool) == 0


async def test_the_stages_of_a_worker_with_a_lease_are_left_alone(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.start(pipeline)
    await workers.leave(pool, worker.id, "draining")
    before = await pipeline.everything()
    assert (await rescue(pool)).hints == []
    assert await pipeline.everything() == before


async def test_a_stage_of_a_lost_worker_runs_elsewhere_as_its_next_attempt(pool):
    pipeline, dead, heir = await submit(pool, CHAIN), await a_worker(pool), await a_worker(pool)
    await dead.start(pipeline)
    await dead.lose_lease()
    answer = await rescue(pool)
    assert [(hint.pipeline, hint.releasable) for hint in answer.hints] == [(pipeline.uuid, True)]
    assert (await pipeline.stage())["status"] == "retrying"
    error = (await pipeline.told("stage.retrying"))["error"]
    assert error == {"code": "lost_worker", "message": "The worker scripted was lost while it ran this stage."}
    (told,) = (await pipeline.release()).queued
    assert told.dispatch_token == 2
    assert (await heir.start(pipeline)).attempt == 2
    assert await pipeline.outcomes() == ["lost", None]
    assert (await pipeline.stage())["failures"] == 0


async def test_a_stage_whose_worker_has_left_without_it_is_rescued_too(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.start(pipeline)
    await workers.leave(pool, worker.id, "stopped")
    await rescue(pool)
    assert (await pipeline.stage())["status"] == "retrying"


async def test_a_stage_that_loses_too_many_workers_in_a_row_is_failed(pool):
    pipeline = await submit(pool, max_retries=20)
    for losses in range(1, LOSSES_MAX + 1):
        worker = await a_worker(pool)
        await worker.start(pipeline)
        await worker.lose_lease()
        await rescue(pool)
        await pipeline.release()
        assert (await pipeline.stage())["losses"] == losses
    assert await pipeline.statuses() == {"a": "failed"}
    assert await pipeline.outcomes() == ["lost"] * LOSSES_MAX
    error = (await pipeline.told("stage.failed"))["error"]
    assert (error["code"], error["losses"]) == ("lost_worker", 3)
    assert "3 times in a row" in error["message"]
    assert await pipeline.status() == "failed"


async def test_a_stage_of_a_lost_worker_is_cancelled_if_its_pipeline_is(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.start(pipeline)
    await pipelines.cancel(pool, pipeline.uuid)
    await worker.lose_lease()
    await rescue(pool)
    await pipeline.release()
    assert await pipeline.status() == "cancelled"
    assert await pipeline.outcomes() == ["lost"]


async def test_a_stage_is_rescued_however_long_it_may_run(pool):
    pipeline, worker = await submit(pool, timeout_s=2_592_000.0), await a_worker(pool)
    await worker.start(pipeline)
    await worker.lose_lease()
    assert len((await rescue(pool)).hints) == 1


async def test_many_stages_are_rescued_a_batch_at_a_time(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    await worker.claim(pipeline, "a", "b")
    await worker.lose_lease()
    await stages.rescue(pool, 1)
    assert sorted((await pipeline.statuses()).values()) == ["retrying", "running"]
    await stages.rescue(pool, 1)
    assert set((await pipeline.statuses()).values()) == {"retrying"}


@pytest.mark.parametrize(
    ("max_retries", "status"), [(0, "failed"), (1, "retrying")], ids=["no retry left", "a retry left"]
)
async def test_an_attempt_two_leases_past_its_timeout_is_ended(pool, max_retries: int, status: str):
    options = {"timeout_s": 100.0, "max_retries": max_retries, "retry_delay_s": 5.0}
    pipeline, worker = await submit(pool, **options), await a_worker(pool)
    await worker.start(pipeline)
    await pool.execute("UPDATE stages SET started_at = started_at - interval '161 s'")
    answer = await stages.enforce_timeouts(pool, lease_timeout_s=30)
    assert [hint.pipeline for hint in answer.hints] == [pipeline.uuid]
    stage = await pipeline.stage()
    assert (stage["status"], stage["failures"]) == (status, 1)
    assert await pipeline.outcomes() == ["timed_out"]
    assert (await pipeline.told(f"stage.{status}"))["error"]["code"] == "timed_out"


async def test_until_then_its_worker_has_the_time_to_end_it(pool):
    pipeline, worker = await submit(pool, timeout_s=100.0), await a_worker(pool)
    await worker.start(pipeline)
    await pool.execute("UPDATE stages SET started_at = started_at - interval '159 s'")
    assert (await stages.enforce_timeouts(pool, lease_timeout_s=30)).hints == []
    assert (await pipeline.stage())["status"] == "running"


async def test_the_stage_of_a_dead_worker_is_lost_and_not_charged_as_timed_out(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.start(pipeline)
    await pool.execute("UPDATE stages SET started_at = started_at - interval '1 day'")
    await pool.execute("UPDATE workers SET lease_expires_at = clock_timestamp() - interval '1 ms'")
    assert (await stages.enforce_timeouts(pool, 30)).hints == []
    await workers.expire(pool)
    await stages.rescue(pool, 10)
    assert await pipeline.outcomes() == ["lost"]
