"""Complete, refused: only the attempt that holds a stage may end it, and only once."""

from uuid import uuid4

import pytest
from msgspec.structs import replace

from app.services import pipelines, stages
from schemas.states import Outcome
from tests.support.locks import at_once
from tests.support.pipelines import PAIR, submit
from tests.support.workers import a_worker, ending, loss


async def refuse(worker, pipeline, completion):
    before = await pipeline.everything()
    answer = await worker.report(completion)
    assert answer.stale == [completion.stage]
    assert answer.hints == answer.locked == []
    assert await pipeline.everything() == before


async def test_another_lease_token_is_stale(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await refuse(worker, pipeline, replace(ending(claim), lease_token=uuid4()))


@pytest.mark.parametrize("attempt", [0, 2])
async def test_another_attempt_is_stale(pool, attempt: int):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await refuse(worker, pipeline, replace(ending(claim), attempt=attempt))


async def test_a_token_of_nobody_is_stale_after_the_end_too(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await worker.report(ending(claim))
    await refuse(worker, pipeline, replace(ending(claim), lease_token=uuid4()))


async def test_a_stage_that_nobody_knows_is_stale(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await refuse(worker, pipeline, replace(ending(claim), stage=uuid4()))


async def test_what_comes_for_a_deleted_pipeline_is_stale(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await worker.report(ending(claim))
    await pipeline.release()
    await pipelines.delete(pool, pipeline.uuid)
    answer = await worker.report(ending(claim))
    assert answer.stale == [claim.stage]


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.FAILED])
async def test_a_worker_that_was_given_up_comes_too_late(pool, outcome):
    pipeline, zombie = await submit(pool), await a_worker(pool)
    claim = await zombie.start(pipeline)
    await zombie.lose_lease()
    await stages.rescue(pool, 10)
    await refuse(zombie, pipeline, ending(claim, outcome))


async def test_a_worker_that_was_given_up_cannot_end_the_attempt_after_its_own(pool):
    pipeline, zombie, heir = await submit(pool), await a_worker(pool), await a_worker(pool)
    old = await zombie.start(pipeline)
    await zombie.lose_lease()
    await stages.rescue(pool, 10)
    await pipeline.release()
    new = await heir.start(pipeline)
    await refuse(zombie, pipeline, ending(old))
    await refuse(zombie, pipeline, replace(ending(old), attempt=new.attempt))
    await heir.report(ending(new, result={"by": "heir"}))
    await refuse(zombie, pipeline, ending(old, result={"by": "zombie"}))
    assert (await pipeline.stage())["result"] == '{"by": "heir"}'
    assert await pipeline.outcomes() == ["lost", "completed"]


async def test_a_completion_may_be_repeated(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    completion = ending(await worker.start(pipeline))
    await worker.report(completion)
    before = await pipeline.everything()
    answer = await worker.report(completion)
    assert answer.stale == answer.hints == answer.locked == []
    assert await pipeline.everything() == before


async def test_a_failure_may_be_repeated_even_after_the_next_attempt_has_begun(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    completion = ending(await worker.start(pipeline), Outcome.FAILED, retry_delay_s=0)
    await worker.report(completion)
    await pipeline.release()
    await worker.start(pipeline)
    before = await pipeline.everything()
    assert (await worker.report(completion)).stale == []
    assert await pipeline.everything() == before


async def test_a_completion_twice_in_a_batch_counts_once(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    completion = ending(await worker.start(pipeline))
    answer = await worker.report(completion, completion)
    assert answer.stale == []
    assert (await pipeline.history()).count("stage.completed a") == 1
    assert (await pipeline.row())["open_stages"] == 0


async def test_of_worker_and_rescuer_at_once_one_is_believed(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    well, lost = await at_once(pool, pipeline, worker.report(ending(claim)), worker.report(loss(claim)))
    ended = await pipeline.history(after=4)
    assert ended == (["stage.retrying a"] if well.stale else ["stage.completed a"])
    assert [bool(well.stale), bool(lost.stale)] in ([True, False], [False, True])


async def test_a_stale_one_does_not_spoil_its_batch(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    a, b = await worker.claim(pipeline, "a", "b")
    answer = await worker.report(replace(ending(a), lease_token=uuid4()), ending(b))
    assert answer.stale == [a.stage]
    assert await pipeline.statuses() == {"a": "running", "b": "completed"}


async def test_nor_does_one_that_speaks_for_the_same_stage_in_a_busy_pipeline(pool):
    pipeline, neighbour, worker = await submit(pool), await submit(pool), await a_worker(pool)
    claim, other = await worker.start(pipeline), await worker.start(neighbour)
    stale = replace(ending(claim), attempt=7)
    (answer,) = await at_once(pool, pipeline, worker.report(ending(claim), stale, ending(other)))
    assert answer.stale == [claim.stage]
    assert (await pipeline.statuses(), await neighbour.statuses()) == ({"a": "completed"}, {"a": "completed"})
