"""Results that Postgres cannot store cost their own stage, and nothing else."""

import asyncpg
import pytest

from schemas.states import Outcome
from tests.support.locks import at_once
from tests.support.pipelines import fan, submit
from tests.support.workers import a_worker, ending

UNSTORABLE = {"a NUL character": {"text": "a\u0000b"}, "not an object": [1, 2], "nothing at all": None}


@pytest.mark.parametrize("result", UNSTORABLE.values(), ids=UNSTORABLE.keys())
async def test_a_result_that_cannot_be_stored_fails_its_stage_alone(pool, result):
    pipeline, worker = await submit(pool, fan(5), max_retries=3), await a_worker(pool)
    claims = await worker.claim(pipeline, *fan(5))
    results = [{"fine": 1}, {"fine": 2}, result, {"fine": 4}, {"fine": 5}]
    answer = await worker.report(*(ending(claim, result=given) for claim, given in zip(claims, results, strict=True)))
    assert answer.stale == answer.locked == []
    assert [*(await pipeline.statuses()).values()] == ["completed", "completed", "failed", "completed", "completed"]
    assert (await pipeline.told("stage.failed"))["error"]["code"] == "result_invalid"
    assert (await pipeline.row())["open_stages"] == 0


@pytest.mark.parametrize("result", UNSTORABLE.values(), ids=UNSTORABLE.keys())
async def test_so_it_is_when_its_pipeline_was_busy(pool, result):
    pipeline, other, worker = await submit(pool), await submit(pool), await a_worker(pool)
    bad, fine = await worker.start(pipeline), await worker.start(other)
    await at_once(pool, pipeline, worker.report(ending(bad, result=result), ending(fine)))
    assert (await pipeline.statuses(), await other.statuses()) == ({"a": "failed"}, {"a": "completed"})


async def test_a_whole_batch_of_them_fails(pool):
    pipeline, worker = await submit(pool, fan(7)), await a_worker(pool)
    claims = await worker.claim(pipeline, *fan(7))
    await worker.report(*(ending(claim, result={"\u0000": 1}) for claim in claims))
    assert set((await pipeline.statuses()).values()) == {"failed"}


async def test_an_error_that_cannot_be_stored_still_ends_its_attempt(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", error={"code": "exit", "message": "\u0000"})
    assert (await pipeline.stage())["status"] == "failed"


async def test_a_result_that_cannot_be_stored_may_be_repeated(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    completion = ending(await worker.start(pipeline), result={"text": "\u0000"})
    await worker.report(completion)
    before = await pipeline.everything()
    assert (await worker.report(completion)).stale == []
    assert await pipeline.everything() == before


async def test_what_is_refused_whatever_the_result_is_said_aloud_and_not_tried_for_ever(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pipeline.set(open_stages=0)  # so that no end can be counted any more
    with pytest.raises(asyncpg.CheckViolationError):
        await worker.report(ending(claim, Outcome.COMPLETED))
