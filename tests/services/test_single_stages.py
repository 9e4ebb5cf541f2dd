"""One stage on its own: cancel it, retry it, purge what is queued."""

from uuid import uuid4

import pytest

from app.errors import Conflict, NotFound
from app.services import pipelines, task_control
from schemas.queue import Queue
from schemas.states import Outcome
from tests.support import invariants
from tests.support.locks import at_once, held
from tests.support.pipelines import CHAIN, DIAMOND, PAIR, submit
from tests.support.workers import a_worker, ending


async def uuid_of(pipeline, name="a"):
    return (await pipeline.stage(name))["uuid"]


async def test_a_waiting_stage_is_cancelled_at_once_and_what_waits_for_it_is_skipped(pool):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    answer = await task_control.cancel(pool, await uuid_of(pipeline, "b"))
    assert [(hint.releasable, hint.seq) for hint in answer.hints] == [(True, await pipeline.seq())]
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "completed", "b": "cancelled", "c": "queued", "d": "skipped"}
    await worker.complete(pipeline, "c")
    await pipeline.release()
    assert await pipeline.status() == "failed"
    await invariants.hold(pool)


async def test_a_running_stage_is_cancelled_by_its_worker_which_hears_of_it_at_its_next_beat(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    a, b = await worker.claim(pipeline, "a", "b")
    for _ in range(2):
        await task_control.cancel(pool, a.stage)
    assert (await pipeline.statuses())["a"] == "running"
    assert (await worker.beat(a, b)).cancelled == [a.lease_token]
    await worker.report(ending(a, Outcome.CANCELLED), ending(b))
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "cancelled", "b": "completed"}


async def test_a_cancelled_stage_gets_no_other_attempt_whatever_ends_this_one(pool):
    pipeline, worker = await submit(pool, max_retries=3), await a_worker(pool)
    claim = await worker.start(pipeline)
    await task_control.cancel(pool, claim.stage)
    await worker.report(ending(claim, Outcome.FAILED, retry_delay_s=0))
    assert await pipeline.statuses() == {"a": "cancelled"}


async def test_a_retrying_stage_is_cancelled_at_once(pool):
    pipeline, worker = await submit(pool, max_retries=3), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=60)
    await task_control.cancel(pool, await uuid_of(pipeline))
    await pipeline.release()
    assert (await pipeline.statuses(), await pipeline.status()) == ({"a": "cancelled"}, "failed")


async def test_what_has_ended_or_was_not_started_cannot_be_cancelled(pool):
    ended, pending, worker = await submit(pool), await submit(pool, start=False), await a_worker(pool)
    await worker.complete(ended, "a")
    for pipeline in (ended, pending):
        before = await pipeline.everything()
        with pytest.raises(Conflict):
            await task_control.cancel(pool, await uuid_of(pipeline))
        assert await pipeline.everything() == before
    with pytest.raises(NotFound):
        await task_control.cancel(pool, uuid4())


async def test_a_claim_and_a_cancel_of_a_stage_at_once_agree(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    stage = await uuid_of(pipeline)
    claimed, _ = await at_once(pool, pipeline, worker.claim(pipeline, "a"), task_control.cancel(pool, stage))
    expected = "running" if claimed else "cancelled"
    assert await pipeline.statuses() == {"a": expected}
    assert (await pipeline.stage())["cancel_asked"] is bool(claimed)


async def test_one_failed_stage_is_retried_and_the_others_are_left_as_they_are(pool):
    shape = {"a": (), "b": (), "after-a": ("a",), "after-both": ("a", "b")}
    pipeline, worker = await submit(pool, shape), await a_worker(pool)
    await worker.fail(pipeline, "a", "b")
    await pipeline.release()
    answer = await task_control.retry(pool, await uuid_of(pipeline, "a"))
    assert [job.stage for job in answer.queued] == [await uuid_of(pipeline, "a")]
    assert await pipeline.statuses() == {"a": "queued", "b": "failed", "after-a": "pending", "after-both": "skipped"}
    await worker.complete(pipeline, "a")
    await pipeline.release()
    await worker.complete(pipeline, "after-a")
    await pipeline.release()
    assert await pipeline.status() == "failed"
    await invariants.hold(pool)


async def test_only_what_failed_or_was_cancelled_can_be_retried(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    await worker.fail(pipeline, "b")
    with pytest.raises(Conflict, match="running"):
        await task_control.retry(pool, await uuid_of(pipeline, "b"))
    await pipeline.release()
    for name, status in {"a": "completed", "c": "skipped"}.items():
        with pytest.raises(Conflict, match=status):
            await task_control.retry(pool, await uuid_of(pipeline, name))
    with pytest.raises(NotFound):
        await task_control.retry(pool, uuid4())


async def test_a_purge_cancels_what_is_queued_and_nothing_that_runs(pool):
    training = await submit(pool, CHAIN, queue=Queue.TRAINING)
    default, worker = await submit(pool, PAIR), await a_worker(pool)
    await worker.start(default, "a")
    assert (await task_control.purge(pool, Queue.TRAINING))[0] == 1
    assert (await default.statuses()) == {"a": "running", "b": "queued"}
    purged, answer = await task_control.purge(pool, None)
    assert (purged, [hint.pipeline for hint in answer.hints]) == (1, [default.uuid])
    assert (await default.statuses()) == {"a": "running", "b": "cancelled"}
    await training.release()
    assert await training.statuses() == {"a": "cancelled", "b": "skipped", "c": "skipped"}
    await invariants.hold(pool)


async def test_a_purge_of_one_queue_leaves_what_waits_on_the_others_of_the_same_pipeline(pool):
    pipeline = await submit(pool, PAIR, of={"a": {"queue": Queue.TRAINING}})
    assert (await task_control.purge(pool, Queue.TRAINING))[0] == 1
    assert await pipeline.statuses() == {"a": "cancelled", "b": "queued"}


async def test_a_purge_takes_what_it_gets_if_somebody_holds_on_to_the_rest(pool):
    stuck, free = await submit(pool), await submit(pool)
    async with held(pool, stuck):
        assert (await task_control.purge(pool, None))[0] == 1
    assert [(await each.stage())["status"] for each in (stuck, free)] == ["queued", "cancelled"]


async def test_a_paused_pipeline_can_be_purged(pool):
    pipeline = await submit(pool)
    await pipelines.pause(pool, pipeline.uuid)
    assert (await task_control.purge(pool, None))[0] == 1
