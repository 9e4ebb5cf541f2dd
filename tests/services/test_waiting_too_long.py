"""Stages that have waited for a start for longer than they may are failed by the scheduler."""

import pytest

from app.core.diagnosis import Evidence, diagnose
from app.services import pipelines, stages
from app.services.diagnosis import scan_failed_jobs
from tests.support import invariants
from tests.support.pipelines import CHAIN, submit
from tests.support.workers import a_worker, ending

LATER = "UPDATE stages SET give_up_at = give_up_at - interval '1 h', expires_at = expires_at - interval '1 h'"


async def test_a_stage_without_limits_waits_for_ever(pool):
    pipeline = await submit(pool)
    assert (await pipeline.stage())["give_up_at"] is None


@pytest.mark.parametrize(
    ("limit", "code"), [("queue_timeout_s", "queue_timeout"), ("total_timeout_s", "total_timeout")]
)
async def test_one_that_is_queued_for_too_long_fails_and_skips_its_dependents(pool, limit, code):
    pipeline = await submit(pool, CHAIN, **{limit: 60})
    assert await stages.due(pool, 10) == []
    await pool.execute(LATER)
    assert await stages.due(pool, 10) == await stages.releasable(pool, 10) == [pipeline.id]
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "failed", "b": "skipped", "c": "skipped"}
    assert (await pipeline.told("stage.failed"))["error"]["code"] == code
    assert await pipeline.status() == "failed"
    assert await stages.due(pool, 10) == await stages.releasable(pool, 10) == []
    await invariants.hold(pool)


async def test_each_wait_in_the_queue_has_its_own_timeout_and_all_of_them_share_the_total_one(pool):
    pipeline, worker = await submit(pool, max_retries=9, queue_timeout_s=60, total_timeout_s=100), await a_worker(pool)
    first = await pipeline.stage()
    await pool.execute("UPDATE stages SET expires_at = expires_at - interval '50 s'")
    await worker.fail(pipeline, "a", retry_delay_s=0)
    retrying = await pipeline.stage()
    assert retrying["give_up_at"] == retrying["expires_at"] < first["expires_at"]
    await pipeline.release()
    again = await pipeline.stage()
    assert again["status"] == "queued"
    assert again["give_up_at"] == again["expires_at"]


async def test_a_stage_that_would_be_retried_after_its_total_timeout_fails_at_that_time(pool):
    pipeline, worker = await submit(pool, max_retries=9, total_timeout_s=60), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=3_000)
    await pool.execute(LATER)
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "failed"}


@pytest.mark.parametrize("limit", ["queue_timeout_s", "total_timeout_s"])
async def test_one_that_is_given_up_while_it_waits_is_not_explained_by_an_attempt_before(pool, tmp_path, limit):
    pipeline, worker = await submit(pool, max_retries=9, **{limit: 60}), await a_worker(pool)
    error = {"code": "task_error", "message": "MemoryError"}
    await worker.fail(pipeline, "a", retry_delay_s=0, error=error, diagnosis=diagnose(Evidence.of(error)))
    await pipeline.release()
    await pool.execute(LATER)
    await pipeline.release()
    assert (await pipeline.told("stage.failed"))["error"]["code"] == limit.removesuffix("_s")
    assert (await pipeline.stage())["diagnosis"] is None
    await pool.execute("""UPDATE failures SET diagnosis = diagnosis || '{"rule_version": 0}'""")
    assert await scan_failed_jobs(pool, tmp_path) == 1
    assert (await pipeline.stage())["diagnosis"] is None


async def test_an_attempt_may_run_for_what_is_left_of_the_total_timeout(pool):
    pipeline, worker = await submit(pool, timeout_s=60, total_timeout_s=100), await a_worker(pool)
    await pool.execute("UPDATE stages SET expires_at = expires_at - interval '70 s'")
    claim = await worker.start(pipeline)
    assert 29 < claim.time_limit_s <= 30
    assert claim.is_last


async def test_a_running_stage_is_not_given_up(pool):
    pipeline, worker = await submit(pool, queue_timeout_s=60), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pool.execute(LATER)
    await pipeline.release()
    assert (await worker.report(ending(claim))).stale == []


async def test_while_its_pipeline_is_paused_the_clock_stands_still(pool):
    pipeline = await submit(pool, queue_timeout_s=60)
    await pipelines.pause(pool, pipeline.uuid)
    await pool.execute("UPDATE pipelines SET paused_at = paused_at - interval '1 h'")
    await pool.execute("UPDATE stages SET queued_at = queued_at - interval '1 h'")
    await pool.execute(LATER)
    assert await stages.due(pool, 10) == await stages.releasable(pool, 10) == []
    await pipeline.release()
    await pipelines.resume(pool, pipeline.uuid)
    assert await stages.due(pool, 10) == []
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "queued"}


async def test_a_stage_queued_while_its_pipeline_was_paused_gets_back_what_it_has_waited(pool):
    pipeline = await submit(pool, queue_timeout_s=60)
    await pipelines.pause(pool, pipeline.uuid)
    await pool.execute("UPDATE pipelines SET paused_at = paused_at - interval '1 h'")
    await pipelines.resume(pool, pipeline.uuid)
    stage = await pipeline.stage()
    assert 60 <= (stage["give_up_at"] - stage["queued_at"]).total_seconds() < 90


async def test_an_attempt_that_its_worker_lets_run_beyond_the_total_timeout_is_ended(pool):
    pipeline, worker = await submit(pool, timeout_s=1_000, total_timeout_s=100), await a_worker(pool)
    await worker.start(pipeline)
    await pool.execute("UPDATE stages SET expires_at = expires_at - interval '159 s'")
    assert (await stages.enforce_timeouts(pool, lease_timeout_s=30)).hints == []
    await pool.execute("UPDATE stages SET expires_at = expires_at - interval '2 s'")
    assert len((await stages.enforce_timeouts(pool, lease_timeout_s=30)).hints) == 1
    assert await pipeline.outcomes() == ["timed_out"]
