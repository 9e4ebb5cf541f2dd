"""Pause: nothing starts, what runs may finish, releases go on. Resume: all that is queued is dispatched again."""

import pytest

from app.errors import Conflict
from app.services import pipelines
from tests.support.locks import at_once
from tests.support.pipelines import CHAIN, PAIR, all_queued, submit
from tests.support.workers import a_worker, ending, requests_of


async def test_nothing_of_a_paused_pipeline_can_be_claimed(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    answer = await pipelines.pause(pool, pipeline.uuid)
    assert (await worker.ask(requests_of([await pipeline.stage()]))).claims == []
    assert await all_queued(pool) == answer.queued == []
    assert await pipeline.status() == "paused"
    assert (await pipeline.history())[-1] == "pipeline.paused"


async def test_what_runs_may_finish_and_its_dependents_wait_released(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pipelines.pause(pool, pipeline.uuid)
    await worker.report(ending(claim))
    assert (await pipeline.release()).queued == []
    assert await pipeline.statuses() == {"a": "completed", "b": "queued", "c": "pending"}


async def test_a_resume_names_everything_that_is_queued_as_old_as_it_is(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    before = await all_queued(pool)
    await pipelines.pause(pool, pipeline.uuid)
    answer = await pipelines.resume(pool, pipeline.uuid)
    assert sorted(answer.queued, key=lambda job: job.stage) == sorted(before, key=lambda job: job.stage)
    assert [hint.seq for hint in answer.hints] == [await pipeline.seq()]
    assert (await pipeline.history())[-2:] == ["pipeline.paused", "pipeline.resumed"]
    await worker.complete(pipeline, "a", "b")


async def test_a_paused_pipeline_settles_when_its_last_stage_ends(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pipelines.pause(pool, pipeline.uuid)
    await worker.report(ending(claim))
    await pipeline.release()
    assert await pipeline.status() == "completed"


@pytest.mark.parametrize("verb", [pipelines.pause, pipelines.resume])
async def test_twice_does_not_fit(pool, verb):
    pipeline = await submit(pool)
    await pipelines.pause(pool, pipeline.uuid)
    if verb is pipelines.resume:
        await verb(pool, pipeline.uuid)
    before = await pipeline.everything()
    with pytest.raises(Conflict):
        await verb(pool, pipeline.uuid)
    assert await pipeline.everything() == before


@pytest.mark.parametrize("verb", [pipelines.pause, pipelines.resume])
async def test_neither_fits_before_the_start(pool, verb):
    pipeline = await submit(pool, start=False)
    with pytest.raises(Conflict):
        await verb(pool, pipeline.uuid)


async def test_two_pauses_at_once_are_one(pool):
    pipeline = await submit(pool)
    answers = [pipelines.pause(pool, pipeline.uuid) for _ in range(2)]
    with pytest.raises(Conflict):
        await at_once(pool, pipeline, *answers)
    assert (await pipeline.history()).count("pipeline.paused") == 1


async def test_a_claim_and_a_pause_at_once_agree(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    asked = requests_of([await pipeline.stage()])
    await at_once(pool, pipeline, worker.ask(asked), pipelines.pause(pool, pipeline.uuid))
    history = await pipeline.history()
    if "stage.started a" in history:
        assert history.index("stage.started a") < history.index("pipeline.paused")
    assert await pipeline.status() == "paused"
