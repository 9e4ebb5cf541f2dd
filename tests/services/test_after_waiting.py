"""Whoever had to wait for a pipeline acts on what it finds then, not on what it saw before."""

import asyncio

import pytest

from app.db import pipelines as db_pipelines
from app.db import stages as db
from app.errors import Conflict
from app.services import pipelines, task_control
from schemas.states import Outcome
from tests.support import invariants
from tests.support.locks import held, until_waiting
from tests.support.pipelines import CHAIN, submit
from tests.support.workers import a_worker, ending, requests_of


async def after(pool, pipeline, meanwhile, call):
    """Let the call wait for the pipeline while ``meanwhile`` is done and committed; return its answer."""
    async with held(pool, pipeline) as c:
        waiting = asyncio.create_task(call)
        await until_waiting(pool, 1)
        await meanwhile(c)
    return await waiting


@pytest.mark.parametrize("verb", [db_pipelines.cancel, db_pipelines.pause])
async def test_a_claim_that_waited_for_a_cancel_or_a_pause_starts_nothing(pool, verb):
    pipeline, worker = await submit(pool), await a_worker(pool)
    asked = requests_of([await pipeline.stage()])
    answer = await after(pool, pipeline, lambda c: verb(c, pipeline.uuid), worker.ask(asked))
    assert (answer.claims, answer.locked) == ([], [])
    assert "stage.started a" not in await pipeline.history()


async def test_a_claim_whose_lease_ran_out_while_it_waited_gets_nothing(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    asked = requests_of([await pipeline.stage()])
    run_out = "UPDATE workers SET lease_expires_at = clock_timestamp()"
    answer = await after(pool, pipeline, lambda c: c.execute(run_out), worker.ask(asked))
    assert answer.worker_lost
    assert await pipeline.statuses() == {"a": "queued"}


async def test_an_attempt_that_failed_while_its_pipeline_was_being_cancelled_is_not_retried(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    failure = ending(await worker.start(pipeline), Outcome.FAILED, retry_delay_s=0)
    await after(pool, pipeline, lambda c: db_pipelines.cancel(c, pipeline.uuid), worker.report(failure))
    assert await pipeline.statuses() == {"a": "cancelled"}


async def test_a_release_that_waited_for_a_completion_tells_of_it(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    completion = ending(await worker.start(pipeline))
    await after(pool, pipeline, lambda c: db.complete(c, [completion], wait=True), pipeline.release())
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "completed", "b": "queued", "c": "pending"}
    await invariants.hold(pool)


async def test_events_that_waited_are_numbered_and_dated_after_those_they_waited_for(pool):
    pipeline, worker = await submit(pool, {"a": (), "b": ()}), await a_worker(pool)
    a, b = await worker.claim(pipeline, "a", "b")
    await after(pool, pipeline, lambda c: db.complete(c, [ending(a)], wait=True), worker.report(ending(b)))
    assert (await pipeline.history())[-2:] == ["stage.completed a", "stage.completed b"]
    await invariants.hold(pool)


async def test_of_two_retries_that_meet_one_is_a_conflict(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a")
    await pipeline.release()
    with pytest.raises(Conflict, match="running"):
        await after(
            pool, pipeline, lambda c: db_pipelines.retry(c, pipeline.uuid, None), pipelines.retry(pool, pipeline.uuid)
        )
    assert (await pipeline.history())[-2:] == ["pipeline.started", "stage.queued a"]


async def test_a_cancel_of_a_stage_that_waited_for_its_claim_asks_its_worker(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    row = await pipeline.stage()
    asked = requests_of([row])
    await after(
        pool, pipeline, lambda c: db.claim(c, worker.id, asked, wait=True), task_control.cancel(pool, row["uuid"])
    )
    assert ((await pipeline.stage())["status"], (await pipeline.stage())["cancel_asked"]) == ("running", True)


async def test_a_pipeline_that_is_started_before_its_delete_stays(pool):
    pipeline = await submit(pool, CHAIN, start=False)
    with pytest.raises(Conflict, match="running"):
        await after(
            pool, pipeline, lambda c: db_pipelines.start(c, pipeline.uuid), pipelines.delete(pool, pipeline.uuid)
        )
    assert await pipeline.statuses() == {"a": "queued", "b": "pending", "c": "pending"}
