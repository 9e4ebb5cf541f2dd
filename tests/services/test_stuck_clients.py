"""A client that sits on a lock holds up its own pipeline, and nobody else's."""

import asyncio

from app.db import stages as db
from app.errors import Unavailable
from app.services import pipelines, stages
from schemas.stage import Progress
from tests.support.locks import held, until_waiting
from tests.support.pipelines import CHAIN, PAIR, submit
from tests.support.workers import a_worker, ending, requests_of


async def test_a_claim_takes_the_others_and_names_what_is_locked(pool):
    stuck, free, worker = await submit(pool, PAIR), await submit(pool), await a_worker(pool)
    rows = [await stuck.stage("a"), await free.stage(), await stuck.stage("b")]
    async with held(pool, stuck), pool.acquire() as c, asyncio.timeout(10):
        answer = await db.claim(c, worker.id, requests_of(rows), wait=False)
        assert [claim.stage for claim in answer.claims] == [rows[1]["uuid"]]
        assert [sorted(group) for group in answer.locked] == [sorted([rows[0]["uuid"], rows[2]["uuid"]])]
        assert await free.statuses() == {"a": "running"}


async def test_a_claim_comes_back_for_what_was_locked(pool):
    stuck, other, free, worker = *[await submit(pool) for _ in range(3)], await a_worker(pool)
    rows = [await pipeline.stage() for pipeline in (stuck, other, free)]
    async with held(pool, stuck, other):
        asking = asyncio.create_task(worker.ask(requests_of(rows)))
        await until_waiting(pool, 1)
        assert await free.statuses() == {"a": "running"}
    answer = await asking
    assert {claim.stage for claim in answer.claims} == {row["uuid"] for row in rows}
    assert {hint.pipeline for hint in answer.hints} == {stuck.uuid, other.uuid, free.uuid}
    assert answer.locked == []


async def test_a_completion_comes_back_for_what_was_locked(pool):
    stuck, free, worker = await submit(pool, PAIR), await submit(pool), await a_worker(pool)
    claims = [*await worker.claim(stuck, "a", "b"), await worker.start(free)]
    async with held(pool, stuck):
        reporting = asyncio.create_task(worker.report(*map(ending, claims)))
        await until_waiting(pool, 1)
        assert await free.statuses() == {"a": "completed"}
    answer = await reporting
    assert await stuck.statuses() == {"a": "completed", "b": "completed"}
    assert {hint.pipeline for hint in answer.hints} == {stuck.uuid, free.uuid}
    assert answer.locked == answer.stale == []


async def test_a_release_comes_back_for_what_was_locked(pool):
    stuck, free, worker = await submit(pool, CHAIN), await submit(pool, CHAIN), await a_worker(pool)
    await worker.complete(stuck, "a")
    await worker.complete(free, "a")
    async with held(pool, stuck):
        releasing = asyncio.create_task(stages.release(pool, [stuck.id, free.id]))
        await until_waiting(pool, 1)
        assert (await free.stage("b"))["status"] == "queued"
    answer = await releasing
    assert (await stuck.stage("b"))["status"] == "queued"
    assert {told.stage for told in answer.queued} == {(await each.stage("b"))["uuid"] for each in (stuck, free)}
    assert {hint.pipeline for hint in answer.hints} == {stuck.uuid, free.uuid}
    assert answer.locked == []


async def test_a_batch_gives_up_on_a_stuck_client_and_says_so(pool):
    """Each call on a pipeline of its own: those behind the same lock would wait in line."""
    claimable, completable, releasable, free = [await submit(pool, PAIR) for _ in range(4)]
    worker = await a_worker(pool)
    requests = requests_of([await claimable.stage()])
    stuck, fine = await worker.start(completable), await worker.start(free)
    async with held(pool, claimable, completable, releasable), asyncio.timeout(10):
        claimed, completed, released = await asyncio.gather(
            worker.ask(requests),
            worker.report(ending(stuck), ending(fine)),
            stages.release(pool, [releasable.id, free.id]),
        )
    assert (claimed.claims, claimed.locked) == ([], [[requests[0].stage]])
    assert (completed.stale, completed.locked) == ([], [[stuck.stage]])
    assert released.locked == [releasable.id]
    assert [(await pipeline.stage())["status"] for pipeline in (claimable, completable)] == ["queued", "running"]
    assert (await free.stage())["status"] == "completed"


async def test_a_client_hears_that_a_pipeline_is_stuck(pool):
    startable, deletable = await submit(pool, start=False), await submit(pool, start=False)
    cancellable = await submit(pool)
    verbs = {pipelines.start: startable, pipelines.delete: deletable, pipelines.cancel: cancellable}
    async with held(pool, *verbs.values()):
        calls = [verb(pool, pipeline.uuid) for verb, pipeline in verbs.items()]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert [await pipeline.status() for pipeline in verbs.values()] == ["pending", "pending", "running"]


async def test_reporting_progress_waits_for_nobody(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    a, b = await worker.claim(pipeline, "a", "b")
    reports = [Progress(claim.stage, claim.lease_token, 0.5) for claim in (a, b)]
    async with pool.acquire() as c, c.transaction(), asyncio.timeout(5):
        await db.complete(c, [ending(a)], wait=False)
        await stages.report_progress(pool, reports)
        assert (await pipeline.stage("b"))["progress"] == 0.5
    assert (await pipeline.stage("a"))["progress"] == 1
