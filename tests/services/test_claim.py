"""Claim: a worker takes queued stages, each for one attempt."""

from app.core import retry
from app.services import checkpoints
from schemas.checkpoint import CheckpointReport
from schemas.queue import Queue
from schemas.states import Outcome
from tests.support.locks import at_once
from tests.support.pipelines import PAIR, fan, submit
from tests.support.workers import a_worker, ending, requests_of


async def test_a_claim_starts_the_first_attempt(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    stage = await pipeline.stage()
    assert (stage["status"], stage["attempt"], stage["worker_id"]) == ("running", 1, worker.id)
    assert (claim.attempt, claim.lease_token) == (1, stage["lease_token"])
    assert claim.started_at == stage["started_at"].timestamp()
    assert await pipeline.outcomes() == [None]
    assert await pipeline.history(after=3) == ["stage.started a"]
    assert await pipeline.told("stage.started") == {
        "task_id": str(claim.stage),
        "attempt": 1,
        "worker": str(worker.id),
    }


async def test_the_answer_holds_all_that_an_attempt_needs(pool):
    options = {"task": "learn", "queue": Queue.TRAINING, "params": {"epochs": 3}, "timeout_s": 7.5}
    retries = {"max_retries": 2, "retry_delay_s": 1.5, "references": {"data": "stages.b.result.x"}}
    pipeline, worker = await submit(pool, name="mnist", **options, **retries), await a_worker(pool)
    claim = await worker.start(pipeline)
    assert (claim.pipeline, claim.pipeline_name, claim.name, claim.task) == (pipeline.uuid, "mnist", "a", "learn")
    assert (claim.params, claim.references) == ({"epochs": 3}, {"data": "stages.b.result.x"})
    assert (claim.max_retries, claim.retry_delay_s, claim.timeout_s, claim.failures) == (2, 1.5, 7.5, 0)


async def test_attempts_count_up_by_one_whatever_they_cost(pool):
    pipeline, worker = await submit(pool, max_retries=20), await a_worker(pool)
    for number, outcome in enumerate([Outcome.FAILED, Outcome.LOST, Outcome.CANCELLED, Outcome.FAILED], 1):
        claim = await worker.start(pipeline)
        assert claim.attempt == number
        await worker.report(ending(claim, outcome, retry_delay_s=0, costs_retry=outcome is Outcome.FAILED))
        await pipeline.release()
    assert await pipeline.outcomes() == ["failed", "lost", "cancelled", "failed"]
    assert (await pipeline.stage())["failures"] == 2
    assert retry.LOSSES_MAX > 1  # or the loss above would have ended it


async def test_a_claim_repeated_with_its_lease_token_gives_the_same_answer(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    requests = requests_of([await pipeline.stage()])
    first = await worker.ask(requests)
    before = await pipeline.everything()
    second = await worker.ask(requests)
    assert second.claims == first.claims
    assert second.hints == []
    assert await pipeline.everything() == before


async def test_a_claim_repeated_while_its_pipeline_is_busy_is_granted_once(pool):
    one, other, worker = await submit(pool), await submit(pool), await a_worker(pool)
    requests = requests_of([await one.stage(), await other.stage()])
    first = await worker.ask(requests)
    (second,) = await at_once(pool, one, worker.ask(requests))
    assert sorted(claim.stage for claim in second.claims) == sorted(claim.stage for claim in first.claims)


async def test_of_two_workers_that_claim_a_stage_at_once_one_gets_it(pool):
    pipeline, workers = await submit(pool), [await a_worker(pool), await a_worker(pool)]
    row = await pipeline.stage()
    answers = await at_once(pool, pipeline, *(worker.ask(requests_of([row])) for worker in workers))
    assert sorted(len(answer.claims) for answer in answers) == [0, 1]
    assert await pipeline.outcomes() == [None]
    assert (await pipeline.history()).count("stage.started a") == 1


async def test_a_batch_claims_what_it_can_and_leaves_the_rest(pool):
    pipeline, gone, worker = await submit(pool, PAIR), await submit(pool), await a_worker(pool)
    await worker.start(gone)
    rows = [await pipeline.stage("a"), await gone.stage(), await pipeline.stage("b")]
    answer = await worker.ask(requests_of(rows))
    assert {claim.name for claim in answer.claims} == {"a", "b"}
    assert answer.locked == []
    assert [(hint.pipeline, hint.seq, hint.releasable) for hint in answer.hints] == [(pipeline.uuid, 6, False)]


async def test_a_large_batch_over_many_pipelines_is_one_answer(pool):
    submitted, worker = [await submit(pool, fan(3)) for _ in range(10)], await a_worker(pool)
    rows = [await pipeline.stage(name) for pipeline in submitted for name in fan(3)]
    answer = await worker.ask(requests_of(rows))
    assert {claim.stage for claim in answer.claims} == {row["uuid"] for row in rows}
    assert {hint.pipeline_id for hint in answer.hints} == {pipeline.id for pipeline in submitted}


async def test_a_later_attempt_resumes_from_the_newest_complete_checkpoint_of_its_stage(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    claim, other = await worker.claim(pipeline, "a", "b")
    assert claim.resume_from is None
    for of, step in [(claim, 10), (claim, 30), (claim, 20), (claim, 15), (other, 99)]:
        report = CheckpointReport(of.stage, of.lease_token, step, f"step-{step}", {}, 1)
        await checkpoints.record(pool, [report])
    await pool.execute("UPDATE checkpoints SET state = 'invalid' WHERE path = 'step-30'")
    await worker.report(ending(claim, Outcome.FAILED, retry_delay_s=0))
    await pipeline.release()
    assert (await worker.start(pipeline)).resume_from == "step-20"
