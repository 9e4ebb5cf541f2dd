"""Trigger rules: when a stage runs that waits for others, and what a failure that is allowed does not do."""

import pytest

from app.services import pipelines
from schemas.states import Outcome, TriggerRule
from tests.support import invariants
from tests.support.pipelines import Submitted, submit
from tests.support.workers import ScriptedWorker, a_worker, ending

RULES = {"cleanup": {"trigger_rule": TriggerRule.ALL_DONE}, "alert": {"trigger_rule": TriggerRule.ANY_FAILED}}
SHAPE = {"train": (), "evaluate": ("train",), "cleanup": ("train", "evaluate"), "alert": ("train", "evaluate")}


async def run_to_its_end(worker: ScriptedWorker, pipeline: Submitted, *failing: str) -> dict[str, str]:
    """Run all that is released until nothing is; those named fail."""
    while True:
        await pipeline.release()
        queued = [name for name, status in (await pipeline.statuses()).items() if status == "queued"]
        if not queued:
            await invariants.hold(pipeline.pool)
            return await pipeline.statuses()
        for name in queued:
            await (worker.fail if name in failing else worker.complete)(pipeline, name)


async def test_when_all_goes_well_the_clean_up_runs_and_the_alert_is_not_needed(pool):
    pipeline, worker = await submit(pool, SHAPE, of=RULES), await a_worker(pool)
    statuses = await run_to_its_end(worker, pipeline)
    assert statuses == {"train": "completed", "evaluate": "completed", "cleanup": "completed", "alert": "skipped"}
    assert (await pipeline.told("stage.skipped"))["error"]["code"] == "not_needed"
    assert await pipeline.status() == "completed"


async def test_when_something_fails_both_run_and_the_pipeline_has_failed_all_the_same(pool):
    pipeline, worker = await submit(pool, SHAPE, of=RULES), await a_worker(pool)
    statuses = await run_to_its_end(worker, pipeline, "train")
    assert statuses == {"train": "failed", "evaluate": "skipped", "cleanup": "completed", "alert": "completed"}
    assert (await pipeline.row())["status"] == "failed"
    assert (await pipeline.told("pipeline.failed"))["error"]["stage"] == "train"


async def test_they_wait_until_everything_before_them_has_ended(pool):
    shape = {"a": (), "b": (), "cleanup": ("a", "b"), "alert": ("a", "b")}
    pipeline, worker = await submit(pool, shape, of=RULES), await a_worker(pool)
    await worker.fail(pipeline, "a")
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "failed", "b": "queued", "cleanup": "pending", "alert": "pending"}
    await worker.complete(pipeline, "b")
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "failed", "b": "completed", "cleanup": "queued", "alert": "queued"}


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_a_stage_that_is_allowed_to_go_wrong_harms_nobody(pool, end):
    shape = {"lint": (), "train": ("lint",)}
    pipeline, worker = await submit(pool, shape, of={"lint": {"allow_failure": True}}), await a_worker(pool)
    claim = await worker.start(pipeline, "lint")
    outcome = Outcome.FAILED if end == "failed" else Outcome.CANCELLED
    await worker.report(ending(claim, outcome))
    await run_to_its_end(worker, pipeline)
    assert await pipeline.statuses() == {"lint": end, "train": "completed"}
    assert await pipeline.status() == "completed"
    assert (await pipeline.told(f"stage.{end}"))["allowed"] is True


async def test_an_alert_hears_of_a_failure_that_was_allowed(pool):
    shape = {"lint": (), "alert": ("lint",)}
    pipeline, worker = await submit(pool, shape, of=RULES | {"lint": {"allow_failure": True}}), await a_worker(pool)
    assert await run_to_its_end(worker, pipeline, "lint") == {"lint": "failed", "alert": "completed"}


async def test_an_alert_hears_of_what_was_skipped_because_of_a_failure(pool):
    shape = {"train": (), "evaluate": ("train",), "alert": ("evaluate",)}
    pipeline, worker = await submit(pool, shape, of=RULES), await a_worker(pool)
    statuses = await run_to_its_end(worker, pipeline, "train")
    assert statuses == {"train": "failed", "evaluate": "skipped", "alert": "completed"}


async def test_a_failure_that_was_allowed_is_not_the_pipelines_error(pool):
    pipeline = await submit(pool, {"lint": (), "train": ()}, of={"lint": {"allow_failure": True}})
    worker = await a_worker(pool)
    await worker.fail(pipeline, "lint")
    await worker.fail(pipeline, "train")
    await pipeline.release()
    assert (await pipeline.told("pipeline.failed"))["error"]["stage"] == "train"


async def test_an_alert_that_nobody_needed_skips_what_waits_for_it_and_alarms_no_further_one(pool):
    shape = {"a": (), "alert": ("a",), "page": ("alert",), "report": ("alert",)}
    of = RULES | {"page": {"trigger_rule": TriggerRule.ANY_FAILED}}
    pipeline, worker = await submit(pool, shape, of=of), await a_worker(pool)
    statuses = await run_to_its_end(worker, pipeline)
    assert statuses == {"a": "completed", "alert": "skipped", "page": "skipped", "report": "skipped"}
    assert await pipeline.status() == "completed"


async def test_after_a_retry_the_clean_up_is_done_anew_and_a_needless_alert_is_left_out(pool):
    pipeline, worker = await submit(pool, SHAPE, of=RULES), await a_worker(pool)
    await run_to_its_end(worker, pipeline, "evaluate")
    await pipelines.retry(pool, pipeline.uuid)
    assert await pipeline.statuses() == {
        "train": "completed",
        "evaluate": "queued",
        "cleanup": "pending",
        "alert": "pending",
    }
    statuses = await run_to_its_end(worker, pipeline)
    assert statuses == {"train": "completed", "evaluate": "completed", "cleanup": "completed", "alert": "skipped"}
    assert await pipeline.status() == "completed"
