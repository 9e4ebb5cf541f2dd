"""Skip: what waits in vain ends without having run."""

import json

import pytest

from app.db import stages as db
from app.services import pipelines
from schemas.states import Outcome
from tests.support.pipelines import CHAIN, DIAMOND, chain, submit
from tests.support.workers import a_worker, ending

JOIN = {"a": (), "b": (), "join": ("a", "b")}


async def test_what_waits_for_a_failed_stage_is_skipped(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await worker.fail(pipeline, "a")
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "failed", "b": "skipped", "c": "skipped"}
    error = json.loads((await pipeline.stage("b"))["error"])
    assert (error["code"], error["stage"]) == ("dependency_failed", "a")
    error = json.loads((await pipeline.stage("c"))["error"])
    assert (error["code"], error["stage"]) == ("dependency_skipped", "b")
    assert await pipeline.history(after=5) == ["stage.skipped b", "stage.skipped c", "pipeline.failed"]


async def test_skipping_goes_to_the_end_of_a_deep_chain_in_one_pass(pool):
    pipeline, worker = await submit(pool, chain(300)), await a_worker(pool)
    await worker.fail(pipeline, "s0")
    await pipeline.release()
    assert [*(await pipeline.statuses()).values()] == ["failed"] + 299 * ["skipped"]
    assert await pipeline.status() == "failed"


async def test_a_very_deep_chain_is_skipped_in_several_passes_which_keep_the_lock_for_a_moment_each(pool):
    pipeline, worker = await submit(pool, chain(10)), await a_worker(pool)
    await worker.fail(pipeline, "s0")
    async with pool.acquire() as c:
        for skipped in (2, 4, 6, 8):
            assert (await db.release(c, [pipeline.id], batch=2, wait=False)).more == [pipeline.id]
            assert [*(await pipeline.statuses()).values()].count("skipped") == skipped
        assert (await db.release(c, [pipeline.id], batch=2, wait=False)).more == []
    assert await pipeline.status() == "failed"


async def test_branches_of_their_own_run_on(pool):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    await worker.fail(pipeline, "b")
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "completed", "b": "failed", "c": "queued", "d": "skipped"}
    assert await pipeline.status() == "running"
    await worker.complete(pipeline, "c")
    await pipeline.release()
    assert await pipeline.status() == "failed"


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a"), ("a b",)], ids=["bad first", "good first", "at once"])
async def test_a_join_with_one_bad_branch_is_skipped_in_whatever_order_they_end(pool, order):
    pipeline, worker = await submit(pool, JOIN), await a_worker(pool)
    a, b = await worker.claim(pipeline, "a", "b")
    endings = {"a": ending(a, Outcome.FAILED), "b": ending(b)}
    for names in order:
        await worker.report(*(endings[name] for name in names.split()))
        await pipeline.release()
    assert await pipeline.statuses() == {"a": "failed", "b": "completed", "join": "skipped"}
    assert (await pipeline.history()).count("stage.skipped join") == 1
    assert await pipeline.status() == "failed"


async def test_a_join_with_two_bad_branches_is_skipped_once(pool):
    pipeline, worker = await submit(pool, JOIN), await a_worker(pool)
    await worker.fail(pipeline, "a", "b")
    await pipeline.release()
    assert (await pipeline.history()).count("stage.skipped join") == 1
    assert (await pipeline.row())["open_stages"] == 0


async def test_what_waits_for_a_stage_that_was_cancelled_singly_is_skipped(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    claim = await worker.start(pipeline)
    await worker.report(ending(claim, Outcome.CANCELLED))
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "cancelled", "b": "skipped", "c": "skipped"}
    assert await pipeline.status() == "failed"


async def test_nothing_is_skipped_in_a_pipeline_that_was_cancelled(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pipelines.cancel(pool, pipeline.uuid)
    await worker.report(ending(claim, Outcome.FAILED))
    await pipeline.release()
    assert await pipeline.statuses() == {"a": "cancelled", "b": "cancelled", "c": "cancelled"}
