"""Queues: a paused one holds its stages, and what runs goes on."""

import asyncio

from app.db import stages as db
from app.services import pipelines, queues, stages
from schemas.queue import Queue
from tests.support.pipelines import CHAIN, all_queued, submit
from tests.support.workers import a_worker, ending, requests_of


async def test_nothing_of_a_paused_queue_is_claimed_and_what_runs_goes_on(pool):
    pipeline, worker = await submit(pool, {"a": (), "b": ()}), await a_worker(pool)
    claim = await worker.start(pipeline, "a")
    await queues.pause(pool, Queue.DEFAULT)
    assert await worker.claim(pipeline, "b") == []
    assert (await worker.report(ending(claim))).stale == []
    assert await pipeline.statuses() == {"a": "completed", "b": "queued"}


async def test_other_queues_are_not_concerned(pool):
    pipeline, worker = await submit(pool, queue=Queue.TRAINING), await a_worker(pool)
    await queues.pause(pool, Queue.DEFAULT)
    await worker.start(pipeline)


async def test_a_paused_queue_is_released_into_but_not_dispatched(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    claim = await worker.start(pipeline)
    await queues.pause(pool, Queue.DEFAULT)
    await worker.report(ending(claim))
    assert (await pipeline.release()).queued == []
    assert await all_queued(pool) == []
    assert (await pipeline.statuses())["b"] == "queued"


async def test_a_resume_names_the_oldest_stages_for_dispatch(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    for _ in range(2):
        await queues.pause(pool, Queue.DEFAULT)
    resumed = await queues.resume(pool, Queue.DEFAULT)
    assert [job.stage for job in resumed] == [(await pipeline.stage())["uuid"]]
    await worker.ask(requests_of([await pipeline.stage()]))
    assert await pipeline.statuses() == {"a": "running"}


async def test_what_waits_is_not_given_up_for_the_time_of_the_pause(pool):
    pipeline = await submit(pool, queue_timeout_s=100)
    await queues.pause(pool, Queue.DEFAULT)
    await pool.execute("UPDATE queues SET paused_at = paused_at - interval '1 h' WHERE paused_at IS NOT NULL")
    await pool.execute(
        "UPDATE stages SET queued_at = queued_at - interval '1 h', give_up_at = give_up_at - interval '1 h'"
    )
    assert await stages.due(pool, 10) == await stages.releasable(pool, 10) == []
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "queued"}
    await queues.resume(pool, Queue.DEFAULT)
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "queued"}


async def test_a_second_pause_does_not_forget_since_when_it_holds(pool):
    since = "SELECT paused_at FROM queues WHERE name = 'default'"
    await queues.pause(pool, Queue.DEFAULT)
    paused_at = await pool.fetchval(since)
    await queues.pause(pool, Queue.DEFAULT)
    assert await pool.fetchval(since) == paused_at


async def test_a_stage_queued_while_its_queue_was_paused_gets_back_what_it_has_waited(pool):
    pipeline = await submit(pool, queue_timeout_s=100)
    await queues.pause(pool, Queue.DEFAULT)
    await pool.execute("UPDATE queues SET paused_at = paused_at - interval '1 h' WHERE paused_at IS NOT NULL")
    await queues.resume(pool, Queue.DEFAULT)
    stage = await pipeline.stage()
    assert 100 <= (stage["give_up_at"] - stage["queued_at"]).total_seconds() < 130


async def test_a_resume_waits_for_nobody_who_ends_a_stage_of_the_queue(pool):
    pipeline, worker = await submit(pool, total_timeout_s=100, max_retries=1), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=0)
    await queues.pause(pool, Queue.DEFAULT)
    async with pool.acquire() as c, c.transaction(), asyncio.timeout(5):
        await db.release(c, [pipeline.id], batch=1, wait=True)
        await queues.resume(pool, Queue.DEFAULT)


async def test_a_pipeline_that_is_resumed_dispatches_nothing_on_a_paused_queue(pool):
    pipeline = await submit(pool)
    await pipelines.pause(pool, pipeline.uuid)
    await queues.pause(pool, Queue.DEFAULT)
    assert (await pipelines.resume(pool, pipeline.uuid)).queued == []
