"""Retry: what completed is kept, everything else begins again, with a fresh budget and its attempts counted on."""

import pytest

from app.errors import Conflict
from app.services import pipelines, stages
from schemas.states import Outcome
from tests.support import invariants
from tests.support.pipelines import CHAIN, DIAMOND, PAIR, all_queued, submit
from tests.support.workers import a_worker, ending, requests_of


async def test_a_failed_pipeline_goes_on_where_it_failed(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    await worker.fail(pipeline, "b")
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "completed", "b": "failed", "c": "skipped"}

    answer = await pipelines.retry(pool, pipeline.uuid)
    assert await pipeline.statuses() == {"a": "completed", "b": "queued", "c": "pending"}
    assert [job.stage for job in answer.queued] == [(await pipeline.stage("b"))["uuid"]]
    assert [hint.seq for hint in answer.hints] == [await pipeline.seq()]
    assert (await pipeline.history())[-2:] == ["pipeline.started", "stage.queued b"]
    assert await pipeline.told("pipeline.started") == {"retry": True, "stages": ["b", "c"]}
    row = await pipeline.row()
    assert (row["status"], row["error"], row["finished_at"]) == ("running", None, None)

    for name in ("b", "c"):
        await worker.complete(pipeline, name)
        await pipeline.release()
    assert await pipeline.status() == "completed"
    assert await pipeline.outcomes("b") == ["failed", "completed"]
    await invariants.hold(pool)


async def test_it_settles_first_if_the_last_completion_was_not_followed_up(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a")
    await pipelines.retry(pool, pipeline.uuid)
    assert (await pipeline.history())[-4:] == [
        "stage.failed a",
        "pipeline.failed",
        "pipeline.started",
        "stage.queued a",
    ]
    await invariants.hold(pool)


@pytest.mark.parametrize("told", [False, True])
async def test_the_join_of_a_kept_stage_waits_for_the_others_only_whatever_it_had_been_told(pool, told):
    """A cancel leaves open whether the join has heard of the branch that completed."""
    pipeline, worker = await submit(pool, {"a": (), "b": (), "join": ("a", "b")}), await a_worker(pool)
    await worker.complete(pipeline, "a")
    if told:
        await pipeline.release()
    await pipelines.cancel(pool, pipeline.uuid)
    await pipelines.retry(pool, pipeline.uuid)
    await pipeline.release()
    assert (await pipeline.stage("join"))["unmet"] == 1
    await worker.complete(pipeline, "b")
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "completed", "b": "completed", "join": "queued"}
    await invariants.hold(pool)


async def test_a_cancelled_pipeline_can_be_retried_even_if_it_was_never_started(pool):
    pipeline, worker = await submit(pool, PAIR, start=False), await a_worker(pool)
    await pipelines.cancel(pool, pipeline.uuid)
    await pipelines.retry(pool, pipeline.uuid)
    await worker.complete(pipeline, "a", "b")
    await pipeline.release()
    assert await pipeline.status() == "completed"
    assert (await pipeline.row())["started_at"] is not None


async def test_it_grants_a_fresh_budget_and_forgets_losses(pool):
    pipeline, worker = await submit(pool, max_retries=1), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=0)
    await pipeline.release()
    await worker.report(ending(await worker.start(pipeline), Outcome.LOST, costs_retry=False))
    await pipeline.release()
    assert ((await pipeline.stage())["failures"], (await pipeline.stage())["losses"]) == (1, 1)
    await pipelines.retry(pool, pipeline.uuid)
    stage = await pipeline.stage()
    assert (stage["failures"], stage["losses"], stage["attempt"], stage["dispatch_token"]) == (0, 0, 2, 3)
    assert (stage["error"], stage["finished_at"], stage["worker_id"]) == (None, None, None)


async def test_it_forgets_that_a_stage_was_cancelled_singly(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pool.execute("UPDATE stages SET cancel_asked = true")
    await worker.report(ending(claim, Outcome.CANCELLED))
    await pipelines.retry(pool, pipeline.uuid)
    await worker.fail(pipeline, "a", retry_delay_s=0)
    assert await pipeline.statuses() == {"a": "retrying"}


async def test_every_failed_branch_begins_again(pool):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    await worker.fail(pipeline, "b", "c")
    await pipeline.release()
    await pipelines.retry(pool, pipeline.uuid)
    assert await pipeline.statuses() == {"a": "completed", "b": "queued", "c": "queued", "d": "pending"}
    assert {job.stage for job in await all_queued(pool)} == {(await pipeline.stage(n))["uuid"] for n in "bc"}


async def test_the_outcome_of_an_old_attempt_does_not_count_for_the_new_one(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await worker.report(ending(claim, Outcome.FAILED))
    await pipelines.retry(pool, pipeline.uuid)
    again = await worker.start(pipeline)
    assert (await worker.report(ending(claim))).stale == [claim.stage]
    assert (await worker.report(ending(again))).stale == []
    assert await pipeline.outcomes() == ["failed", "completed"]


@pytest.mark.parametrize("name", ["a", "b"])
async def test_an_old_job_starts_nothing_after_a_retry(pool, name):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    for before in "ab"[: "ab".index(name)]:
        await worker.complete(pipeline, before)
        await pipeline.release()
    (old,) = await all_queued(pool)
    await worker.fail(pipeline, name)
    await pipeline.release()
    await pipelines.retry(pool, pipeline.uuid)
    assert (await pipeline.stage(name))["status"] == "queued"
    request = {"uuid": old.stage, "dispatch_token": old.dispatch_token}
    assert (await worker.ask(requests_of([request]))).claims == []


@pytest.mark.parametrize("state", ["pending", "running", "paused", "cancelling", "completed"])
async def test_it_fits_only_what_has_failed_or_was_cancelled(pool, state):
    pipeline, worker = await submit(pool, start=state != "pending"), await a_worker(pool)
    if state == "paused":
        await pipelines.pause(pool, pipeline.uuid)
    elif state == "cancelling":
        await worker.start(pipeline)
        await pipelines.cancel(pool, pipeline.uuid)
    elif state == "completed":
        await worker.complete(pipeline, "a")
        await pipeline.release()
    before = await pipeline.everything()
    with pytest.raises(Conflict, match=state):
        await pipelines.retry(pool, pipeline.uuid)
    assert await pipeline.everything() == before


async def test_after_a_retry_the_sweep_has_nothing_to_do(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    await worker.fail(pipeline, "b")
    await pipeline.release()
    await pipelines.retry(pool, pipeline.uuid)
    assert await stages.releasable(pool, 10) == []


async def test_a_cancelled_pipeline_in_which_everything_had_completed_is_complete_after_a_retry(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pipelines.cancel(pool, pipeline.uuid)
    await worker.report(ending(claim))
    await pipeline.release()
    assert await pipeline.status() == "cancelled"
    await pipelines.retry(pool, pipeline.uuid)
    assert await pipeline.status() == "completed"
    await invariants.hold(pool)
