"""Release: what waited for a stage that has completed is queued, once."""

from datetime import timedelta

from app.db import stages as db
from app.services import stages
from schemas.queue import Queue, Slot
from tests.support.locks import at_once
from tests.support.pipelines import CHAIN, DIAMOND, all_queued, fan, submit
from tests.support.workers import a_worker, ending


async def pass_(pool, pipeline, batch):
    async with pool.acquire() as c:
        return await db.release(c, [pipeline.id], batch=batch, wait=False)


async def test_a_chain_is_released_link_by_link(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "completed", "b": "queued", "c": "pending"}
    assert await pipeline.history(after=5) == ["stage.queued b"]


async def test_parallel_branches_are_released_together(pool):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    await worker.complete(pipeline, "a")
    released = await pipeline.release()
    assert await pipeline.statuses() == {"a": "completed", "b": "queued", "c": "queued", "d": "pending"}
    assert len(released.queued) == 2


async def test_a_join_waits_for_all_of_its_branches(pool):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    for name in "abc":
        assert (await pipeline.stage("d"))["status"] == "pending"
        await worker.complete(pipeline, name)
        await pipeline.release()
    assert (await pipeline.stage("d"))["status"] == "queued"


async def test_a_branch_counts_once_however_often_it_is_released(pool):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    for name in "ab":
        await worker.complete(pipeline, name)
        for _ in range(3):
            await pipeline.release()
    join = await pipeline.stage("d")
    assert (join["status"], join["unmet"]) == ("pending", 1)


async def test_what_is_to_be_dispatched_is_told(pool):
    options = {"task": "learn", "queue": Queue.TRAINING, "slot": Slot.PROCESS, "priority": 8}
    pipeline, worker = await submit(pool, {"a": (), "b": ("a",)}, **options), await a_worker(pool)
    await worker.complete(pipeline, "a")
    (told,) = (await pipeline.release()).queued
    stage = await pipeline.stage("b")
    assert (told.stage, told.dispatch_token, told.queued_at) == (stage["uuid"], 1, stage["queued_at"])
    assert (told.task, told.queue, told.slot, told.priority) == ("learn", Queue.TRAINING, Slot.PROCESS, 8)
    assert await all_queued(pool) == [told]


async def test_a_release_repeated_changes_nothing(pool):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    before = await pipeline.everything()
    again = await pipeline.release()
    assert again.queued == again.more == again.locked == []
    assert await pipeline.everything() == before


async def test_two_schedulers_at_once_release_a_stage_once(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.complete(pipeline, "a")
    answers = await at_once(pool, pipeline, pipeline.release(), pipeline.release())
    assert sorted(len(answer.queued) for answer in answers) == [0, 1]
    assert (await pipeline.history()).count("stage.queued b") == 1


async def test_the_last_two_branches_completing_at_once_release_the_join_once(pool):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    b, c = await worker.claim(pipeline, "b", "c")
    await at_once(pool, pipeline, worker.report(ending(b)), worker.report(ending(c)))
    answers = await at_once(pool, pipeline, pipeline.release(), pipeline.release())
    assert sorted(len(answer.queued) for answer in answers) == [0, 1]
    assert (await pipeline.history()).count("stage.queued d") == 1


async def test_a_completion_and_a_release_at_once_lose_nothing(pool):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    await worker.complete(pipeline, "b")
    (claim,) = await worker.claim(pipeline, "c")
    await at_once(pool, pipeline, pipeline.release(), worker.report(ending(claim)))
    await pipeline.release()
    assert (await pipeline.stage("d"))["status"] == "queued"
    assert (await pipeline.history()).count("stage.queued d") == 1


async def test_small_bites_come_to_the_same_end(pool):
    wide = {**fan(7), "join": tuple(fan(7)), "half": tuple(fan(3))}
    pipeline, worker = await submit(pool, wide), await a_worker(pool)
    await worker.complete(pipeline, *fan(7))
    queued, passes = [], 0
    while (answer := await pass_(pool, pipeline, batch=2)).more:
        assert answer.more == [pipeline.id]
        queued += answer.queued
        passes += 1
    assert passes == 3
    assert len(queued + answer.queued) == 2
    assert (await pipeline.statuses())["join"] == "queued"
    assert [event for event in await pipeline.history() if "join" in event or "half" in event] == [
        "stage.queued half",
        "stage.queued join",
    ]


async def test_a_paused_pipeline_goes_on_releasing_but_dispatches_nothing(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pipeline.set(status="paused")
    await worker.report(ending(claim))
    released = await pipeline.release()
    assert (await pipeline.stage("b"))["status"] == "queued"
    assert released.queued == await all_queued(pool) == []


async def test_many_pipelines_are_released_in_one_pass(pool):
    submitted, worker = [await submit(pool, CHAIN) for _ in range(5)], await a_worker(pool)
    for pipeline in submitted:
        await worker.complete(pipeline, "a")
    answer = await stages.release(pool, [pipeline.id for pipeline in submitted])
    assert len(answer.queued) == 5
    assert {hint.pipeline for hint in answer.hints} == {pipeline.uuid for pipeline in submitted}
    assert not any(hint.releasable for hint in answer.hints)


async def test_a_pipeline_that_is_gone_or_was_never_there_does_no_harm(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.complete(pipeline, "a")
    answer = await stages.release(pool, [pipeline.id, 2**62])
    assert len(answer.queued) == 1


async def test_a_stage_waits_for_its_retry_until_it_is_due(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=60)
    assert (await pipeline.release()).queued == await stages.due(pool, 10) == []
    assert (await pipeline.stage())["status"] == "retrying"


async def test_a_retry_that_is_due_is_queued_under_a_new_dispatch_token(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=60)
    before = await pipeline.stage()
    past = before["retry_at"] - timedelta(seconds=61)
    await pool.execute("UPDATE stages SET retry_at = $1", past)
    assert await stages.due(pool, 10) == [pipeline.id]
    (told,) = (await pipeline.release()).queued
    stage = await pipeline.stage()
    assert (stage["status"], stage["retry_at"]) == ("queued", None)
    assert told.dispatch_token == stage["dispatch_token"] == before["dispatch_token"] + 1
    assert told.queued_at == stage["queued_at"] > before["queued_at"]
    assert (await pipeline.history())[-1] == "stage.queued a"
    assert (await worker.start(pipeline)).attempt == 2
