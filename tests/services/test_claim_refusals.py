"""Claim, refused: what is no longer there, and who may no longer ask, changes nothing."""

from uuid import uuid4

import pytest
from msgspec.structs import replace

from app.services import pipelines, workers
from schemas.states import Outcome
from tests.support.pipelines import CHAIN, submit
from tests.support.workers import ScriptedWorker, a_worker, ending, requests_of


async def refuse(worker, pipeline, requests):
    before = await pipeline.everything()
    answer = await worker.ask(requests)
    assert answer.claims == answer.hints == []
    assert await pipeline.everything() == before
    return answer


async def test_a_stage_that_waits_for_another_cannot_be_claimed(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await refuse(worker, pipeline, requests_of([await pipeline.stage("b")]))


async def test_a_stage_that_runs_cannot_be_claimed(pool):
    pipeline, worker, other = await submit(pool), await a_worker(pool), await a_worker(pool)
    row = await pipeline.stage()
    await worker.start(pipeline)
    await refuse(other, pipeline, requests_of([row]))


async def test_a_stage_that_waits_for_its_retry_cannot_be_claimed(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=60)
    await refuse(worker, pipeline, requests_of([await pipeline.stage()]))


async def test_a_stage_that_has_ended_cannot_be_claimed(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await refuse(worker, pipeline, requests_of([await pipeline.stage()]))


async def test_a_claim_is_not_granted_again_after_its_attempt_has_ended(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    requests = requests_of([await pipeline.stage()])
    (claim,) = (await worker.ask(requests)).claims
    await worker.report(ending(claim, Outcome.FAILED, retry_delay_s=0))
    await refuse(worker, pipeline, requests)
    await pipeline.release()
    await refuse(worker, pipeline, requests)


async def test_a_job_from_an_earlier_dispatch_cannot_claim(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    old = await pipeline.stage()
    await worker.fail(pipeline, "a", retry_delay_s=0)
    await pipeline.release()
    assert (await pipeline.stage())["dispatch_token"] == old["dispatch_token"] + 1
    await refuse(worker, pipeline, requests_of([old]))


async def test_a_job_that_names_no_stage_cannot_claim(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    (request,) = requests_of([await pipeline.stage()])
    answer = await refuse(worker, pipeline, [replace(request, stage=uuid4())])
    assert not answer.worker_lost


@pytest.mark.parametrize("status", ["pending", "paused", "cancelling"])
async def test_nothing_starts_unless_its_pipeline_runs(pool, status: str):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await pipeline.set(status=status)
    answer = await refuse(worker, pipeline, requests_of([await pipeline.stage()]))
    assert not answer.worker_lost


async def test_nothing_starts_after_a_cancel(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    row = await pipeline.stage()
    await pipelines.cancel(pool, pipeline.uuid)
    await refuse(worker, pipeline, requests_of([row]))


@pytest.mark.parametrize("state", ["draining", "stopped", "lost"])
async def test_a_worker_that_is_leaving_or_gone_gets_nothing(pool, state: str):
    pipeline, worker = await submit(pool), await a_worker(pool)
    if state == "lost":
        await worker.lose_lease()
    else:
        await workers.leave(pool, worker.id, state)
    answer = await refuse(worker, pipeline, requests_of([await pipeline.stage()]))
    assert answer.worker_lost


async def test_a_worker_whose_lease_has_run_out_gets_nothing_even_before_anybody_noticed(pool):
    pipeline, worker = await submit(pool), await a_worker(pool, lease_s=-0.001)
    answer = await refuse(worker, pipeline, requests_of([await pipeline.stage()]))
    assert answer.worker_lost


async def test_a_worker_that_never_registered_gets_nothing(pool):
    pipeline = await submit(pool)
    answer = await refuse(ScriptedWorker(pool), pipeline, requests_of([await pipeline.stage()]))
    assert answer.worker_lost
