"""Complete: an attempt's outcome is committed, and what it costs."""

from datetime import timedelta

import pytest

from app.services import pipelines
from schemas.states import Outcome
from tests.support import invariants
from tests.support.pipelines import CHAIN, PAIR, submit
from tests.support.workers import a_worker, ending, loss


async def test_a_completed_stage_keeps_its_result_and_gives_up_its_lease(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    answer = await worker.report(ending(await worker.start(pipeline), result={"accuracy": 0.97}))
    stage = await pipeline.stage()
    assert (stage["status"], stage["result"], stage["progress"]) == ("completed", '{"accuracy": 0.97}', 1)
    assert stage["lease_token"] is None
    assert stage["finished_at"] > stage["started_at"]
    assert await pipeline.outcomes() == ["completed"]
    assert [(hint.pipeline, hint.seq, hint.releasable) for hint in answer.hints] == [(pipeline.uuid, 5, True)]


async def test_completing_does_not_release(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.complete(pipeline, "a")
    assert await pipeline.statuses() == {"a": "completed", "b": "pending", "c": "pending"}
    assert await pipeline.history(after=4) == ["stage.completed a"]


async def test_only_a_stage_with_dependents_has_news_for_the_releaser(pool):
    pipeline, worker = await submit(pool, {"a": (), "b": ("a",), "c": ()}), await a_worker(pool)
    await worker.complete(pipeline, "a", "c")
    assert not (await pipeline.stage("a"))["propagated"]
    assert (await pipeline.stage("c"))["propagated"]


async def test_a_stage_that_fails_for_good_keeps_its_error(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", error={"code": "exit", "message": "exit code 1"})
    stage = await pipeline.stage()
    assert (stage["status"], stage["error"]) == ("failed", '{"code": "exit", "message": "exit code 1"}')
    assert await pipeline.outcomes() == ["failed"]
    told = await pipeline.told("stage.failed")
    assert (told["attempt"], told["outcome"], told["error"]["code"]) == (1, "failed", "exit")


async def test_a_stage_with_a_retry_left_waits_for_it(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=90)
    stage = await pipeline.stage()
    assert (stage["status"], stage["finished_at"]) == ("retrying", None)
    ended_at = await pool.fetchval("SELECT finished_at FROM attempts WHERE pipeline_id = $1", pipeline.id)
    assert stage["retry_at"] == ended_at + timedelta(seconds=90)
    assert (await pipeline.told("stage.retrying"))["outcome"] == "failed"
    assert (await pipeline.row())["open_stages"] == 1


@pytest.mark.parametrize(
    ("outcome", "costs_retry", "failures", "losses"),
    [
        (Outcome.FAILED, True, 1, 0),
        (Outcome.TIMED_OUT, True, 1, 0),
        (Outcome.LOST, False, 0, 1),
        (Outcome.CANCELLED, False, 0, 0),
    ],
    ids=["an error of its own", "a timeout", "a lost worker", "a drain"],
)
async def test_an_attempt_costs_what_its_end_deserves(pool, outcome, costs_retry, failures, losses):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.report(ending(await worker.start(pipeline), outcome, retry_delay_s=0, costs_retry=costs_retry))
    stage = await pipeline.stage()
    assert (stage["status"], stage["failures"], stage["losses"]) == ("retrying", failures, losses)
    assert await pipeline.outcomes() == [outcome]


@pytest.mark.parametrize(
    ("outcome", "costs_retry", "losses"),
    [(Outcome.LOST, False, 2), (Outcome.CANCELLED, False, 1), (Outcome.FAILED, True, 0), (Outcome.COMPLETED, True, 0)],
)
async def test_losses_are_counted_in_a_row(pool, outcome, costs_retry, losses):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.report(loss(await worker.start(pipeline)))
    await pipeline.release()
    await worker.report(ending(await worker.start(pipeline), outcome, retry_delay_s=0, costs_retry=costs_retry))
    assert (await pipeline.stage())["losses"] == losses


async def test_what_completes_while_its_pipeline_is_being_cancelled_stays_completed(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pipelines.cancel(pool, pipeline.uuid)
    await worker.report(ending(claim))
    assert (await pipeline.stage())["status"] == "completed"


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST, Outcome.CANCELLED])
async def test_what_ends_otherwise_then_is_cancelled_and_never_retried(pool, outcome):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pipelines.cancel(pool, pipeline.uuid)
    await worker.report(ending(claim, outcome, retry_delay_s=0))
    assert await pipeline.statuses() == {"a": "cancelled"}
    assert await pipeline.outcomes() == [outcome]


async def test_a_stage_that_was_cancelled_singly_is_not_retried(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    claims = await worker.claim(pipeline, "a", "b")
    await pool.execute("UPDATE stages SET cancel_asked = true WHERE name = 'a'")
    await worker.report(*(ending(claim, Outcome.FAILED, retry_delay_s=0) for claim in claims))
    assert await pipeline.statuses() == {"a": "cancelled", "b": "retrying"}


async def test_a_batch_may_end_stages_of_many_pipelines(pool):
    submitted, worker = [await submit(pool, PAIR) for _ in range(5)], await a_worker(pool)
    claims = [claim for pipeline in submitted for claim in await worker.claim(pipeline, "a", "b")]
    answer = await worker.report(*map(ending, claims))
    assert {hint.pipeline_id for hint in answer.hints} == {pipeline.id for pipeline in submitted}
    for pipeline in submitted:
        assert await pipeline.statuses() == {"a": "completed", "b": "completed"}
        assert (await pipeline.history(after=6)) == ["stage.completed a", "stage.completed b"]
    await invariants.hold(pool)
