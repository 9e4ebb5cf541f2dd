"""Progress and checkpoints: kept while their attempt holds its stage, from nobody else."""

from uuid import uuid4

from msgspec.structs import replace

from app.db import checkpoints as db
from app.db.pool import connection
from app.services import checkpoints, stages
from schemas.checkpoint import CheckpointReport, ResumePoint
from schemas.stage import Progress
from schemas.states import CheckpointState, Outcome
from tests.support.pipelines import PAIR, submit
from tests.support.workers import a_worker, ending, loss


def checkpoint(claim, step=1, path=None):
    return CheckpointReport(claim.stage, claim.lease_token, step, path or f"step-{step}", {"loss": 0.1}, 10)


async def test_progress_is_kept(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    a, b = await worker.claim(pipeline, "a", "b")
    await stages.report_progress(pool, [Progress(a.stage, a.lease_token, 0.25), Progress(b.stage, b.lease_token, 0.5)])
    assert [(await pipeline.stage(name))["progress"] for name in "ab"] == [0.25, 0.5]


async def test_progress_of_an_attempt_that_does_not_hold_its_stage_is_not(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    old = await worker.start(pipeline)
    await worker.report(loss(old))
    await pipeline.release()
    await worker.start(pipeline)
    for stale in (old, replace(old, lease_token=uuid4())):
        await stages.report_progress(pool, [Progress(stale.stage, stale.lease_token, 0.9)])
    assert (await pipeline.stage())["progress"] is None


async def test_a_new_attempt_begins_without_progress(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await stages.report_progress(pool, [Progress(claim.stage, claim.lease_token, 0.9)])
    await worker.report(ending(claim, Outcome.FAILED, retry_delay_s=0))
    await pipeline.release()
    await worker.start(pipeline)
    assert (await pipeline.stage())["progress"] is None


async def test_checkpoints_are_kept_with_the_attempt_that_wrote_them(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await checkpoints.record(pool, [checkpoint(claim, 1), checkpoint(claim, 2)])
    found = await checkpoints.of_pipeline(pool, pipeline.uuid)
    assert [(each.stage, each.attempt, each.step, each.path) for each in found] == [
        ("a", 1, 1, "step-1"),
        ("a", 1, 2, "step-2"),
    ]
    assert all(each.live and each.metrics == {"loss": 0.1} for each in found)


async def test_a_checkpoint_reported_twice_is_one(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await checkpoints.record(pool, [checkpoint(claim)])
    await checkpoints.record(pool, [replace(checkpoint(claim), metrics={"loss": 0.05})])
    (found,) = await checkpoints.of_pipeline(pool, pipeline.uuid)
    assert found.metrics == {"loss": 0.05}


async def test_checkpoints_of_an_attempt_that_does_not_hold_its_stage_are_not_kept(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await checkpoints.record(pool, [replace(checkpoint(claim), lease_token=uuid4())])
    await worker.report(ending(claim))
    await checkpoints.record(pool, [checkpoint(claim)])
    assert await checkpoints.of_pipeline(pool, pipeline.uuid) == []


async def test_a_pinned_checkpoint_is_never_marked_for_deletion(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await checkpoints.record(pool, [checkpoint(claim, step) for step in (1, 2, 3)])
    await pool.execute("UPDATE checkpoints SET pinned = true WHERE step = 1")
    assert await marked(pool, pipeline) == [2]


async def test_the_resume_point_of_a_stage_that_may_run_again_is_never_marked_for_deletion(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await checkpoints.record(pool, [checkpoint(claim, step) for step in (2, 3, 1)])
    await worker.report(ending(claim, Outcome.FAILED))
    assert await marked(pool, pipeline) == [2, 1]


async def test_a_checkpoint_that_is_being_written_is_never_marked_for_deletion(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await checkpoints.record(pool, [replace(checkpoint(claim, 1), state=CheckpointState.WRITING)])
    assert await marked(pool, pipeline) == []
    await worker.report(ending(claim))
    assert await marked(pool, pipeline) == [1]


async def marked(pool, pipeline):
    """The steps of those that may go, if all of them are to."""
    found = await checkpoints.of_pipeline(pool, pipeline.uuid)
    async with connection(pool) as c:
        ids = await db.mark_deleting(c, [each.id for each in found])
    return [each.step for each in found if each.id in ids]


async def test_a_path_that_is_written_again_is_the_same_checkpoint_at_its_new_step(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await checkpoints.record(pool, [checkpoint(claim, 2, "b"), checkpoint(claim, 1, "a")])
    await pool.execute("UPDATE checkpoints SET state = 'deleting' WHERE path = 'a'")
    await checkpoints.record(pool, [checkpoint(claim, 3, "a")])
    async with connection(pool) as c:
        await db.mark_deleted(c, [each.id for each in await checkpoints.of_pipeline(pool, pipeline.uuid)])
    found = await checkpoints.of_pipeline(pool, pipeline.uuid)
    assert [(each.path, each.step, each.state) for each in found] == [("b", 2, "complete"), ("a", 3, "complete")]
    point = await checkpoints.resume_point(pool, claim.stage, claim.lease_token)
    assert point == ResumePoint("a", 10)


async def test_a_checkpoint_that_is_condemned_is_resumed_from_no_more(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await checkpoints.record(pool, [checkpoint(claim, 1), checkpoint(claim, 2)])
    for token, point in ((uuid4(), "step-2"), (claim.lease_token, "step-1")):
        await checkpoints.condemn(pool, claim.stage, token, "step-2", "its file a is missing")
        found = await checkpoints.resume_point(pool, claim.stage, claim.lease_token)
        assert found == ResumePoint(point, 10)
    (torn,) = (await checkpoints.list_page(pool, states=[CheckpointState.INVALID])).items
    assert (torn.path, torn.reason) == ("step-2", "its file a is missing")
