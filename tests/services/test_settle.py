"""Settle: a pipeline ends when all of its stages have, once, and says why."""

import json

import pytest

from app.services import pipelines, stages
from schemas.states import Outcome
from tests.support.locks import at_once
from tests.support.pipelines import CHAIN, PAIR, submit
from tests.support.workers import a_worker, ending


async def test_a_pipeline_completes_with_its_last_stage(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    assert await pipeline.status() == "running"
    await worker.complete(pipeline, "b")
    await pipeline.release()
    row = await pipeline.row()
    assert (row["status"], row["error"]) == ("completed", None)
    assert row["finished_at"] >= (await pipeline.stage("b"))["finished_at"]
    assert (await pipeline.history())[-1] == "pipeline.completed"


async def test_it_does_not_complete_while_a_stage_waits_for_a_retry(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await worker.fail(pipeline, "b", retry_delay_s=60)
    await pipeline.release()
    assert await pipeline.status() == "running"


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED])
async def test_it_fails_if_a_stage_failed_or_was_cancelled_singly(pool, outcome):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    a, b = await worker.claim(pipeline, "a", "b")
    await worker.report(ending(a, outcome), ending(b))
    await pipeline.release()
    assert await pipeline.status() == "failed"
    assert (await pipeline.history())[-1] == "pipeline.failed"


async def test_its_error_names_the_stage_that_failed_first_and_why(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    await worker.fail(pipeline, "b", error={"code": "exit", "message": "exit code 3"})
    await worker.fail(pipeline, "a")
    await pipeline.release()
    error = json.loads((await pipeline.row())["error"])
    assert (error["code"], error["stage"]) == ("stage_failed", "b")
    assert error["message"] == "Stage b failed: exit code 3"
    assert error["error"] == {"code": "exit", "message": "exit code 3"}
    assert (await pipeline.told("pipeline.failed"))["error"] == error


async def test_a_paused_pipeline_settles_too(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pipeline.set(status="paused")
    await worker.report(ending(claim))
    await pipeline.release()
    assert await pipeline.status() == "completed"


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED])
async def test_a_cancelled_pipeline_ends_as_cancelled_however_its_stages_end(pool, outcome):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    await worker.fail(pipeline, "b")
    claim = await worker.start(pipeline, "a")
    await pipelines.cancel(pool, pipeline.uuid)
    await worker.report(ending(claim, outcome))
    await pipeline.release()
    row = await pipeline.row()
    assert (row["status"], row["error"]) == ("cancelled", None)
    assert (await pipeline.history())[-1] == "pipeline.cancelled"


async def test_two_schedulers_at_once_settle_it_once(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await at_once(pool, pipeline, pipeline.release(), pipeline.release())
    assert (await pipeline.history()).count("pipeline.completed") == 1


async def test_a_settled_pipeline_stays_as_it_is(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.fail(pipeline, "a")
    await pipeline.release()
    before = await pipeline.everything()
    await pipeline.release()
    assert await pipeline.everything() == before


async def test_the_sweep_finds_a_lost_release(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.complete(pipeline, "a")
    assert await stages.releasable(pool, 10) == [pipeline.id]


async def test_the_sweep_finds_a_lost_settlement(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.complete(pipeline, "a")
    assert await stages.releasable(pool, 10) == [pipeline.id]


async def test_the_sweep_finds_the_lost_settlement_of_a_cancelled_or_a_paused_pipeline(pool):
    cancelled, paused, worker = await submit(pool), await submit(pool), await a_worker(pool)
    claims = [await worker.start(cancelled), await worker.start(paused)]
    await pipelines.cancel(pool, cancelled.uuid)
    await pipelines.pause(pool, paused.uuid)
    await worker.report(*map(ending, claims))
    assert sorted(await stages.releasable(pool, 10)) == [cancelled.id, paused.id]


async def test_the_sweep_finds_a_retry_that_is_due(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=0)
    assert await stages.releasable(pool, 10) == [pipeline.id]


async def test_the_sweep_finds_nothing_where_there_is_nothing_to_do(pool):
    worker = await a_worker(pool)
    ended, failed, cancelled, busy, later = [await submit(pool, CHAIN) for _ in range(5)]
    for name in CHAIN:
        await worker.complete(ended, name)
        await ended.release()
    await worker.fail(failed, "a")
    await failed.release()
    claim = await worker.start(cancelled)
    await pipelines.cancel(pool, cancelled.uuid)
    await worker.report(ending(claim))
    await cancelled.release()
    await worker.start(busy)
    await worker.fail(later, "a", retry_delay_s=60)
    await submit(pool, start=False)
    statuses = [await pipeline.status() for pipeline in (ended, failed, cancelled, busy, later)]
    assert statuses == ["completed", "failed", "cancelled", "running", "running"]
    assert await stages.releasable(pool, 10) == []
