"""Complete to a worker: where it is little, release in the same transaction, and claim what it can take."""

import asyncio
from uuid import uuid4

import pytest

from app.services import pipelines, queues, stages, workers
from schemas.queue import QUEUES_BY_PRIORITY, Queue, Slot
from schemas.stage import Serves
from schemas.states import Outcome
from tests.support import invariants
from tests.support.locks import held, until_waiting
from tests.support.pipelines import CHAIN, submit
from tests.support.workers import ScriptedWorker, a_worker, ending

KINDS = {"a": (), **dict.fromkeys("pqij", ("a",))}
OF = {name: {"slot": Slot.PROCESS} for name in "pq"}


def serves(*, queues=QUEUES_BY_PRIORITY, tasks=("noop",), inline=4, process=4):
    return Serves(list(queues), list(tasks), inline, process)


async def complete(worker, *completions, offered=None):
    """Complete, and offer all that is needed unless told otherwise."""
    answer = await stages.complete_to_worker(worker.pool, completions, worker.id, offered or serves())
    await invariants.hold(worker.pool)
    return answer


async def names(pool, uuids):
    return {row["name"] for row in await pool.fetch("SELECT name FROM stages WHERE uuid = ANY ($1)", list(uuids))}


async def left_to_the_queue(pipeline, answer, *stages_of):
    """Nothing was begun, and these are to be dispatched."""
    assert answer.claims == []
    assert await names(pipeline.pool, [told.stage for told in answer.queued]) == set(stages_of)
    assert {(await pipeline.stage(name))["status"] for name in stages_of} <= {"queued"}


async def test_what_waited_for_it_is_begun(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    answer = await complete(worker, ending(await worker.start(pipeline)))
    (claim,), stage = answer.claims, await pipeline.stage("b")
    assert (claim.name, claim.attempt, claim.slot, claim.lease_token) == ("b", 1, Slot.INLINE, stage["lease_token"])
    assert stage["worker_id"] == worker.id
    assert await pipeline.history(after=4) == ["stage.completed a", "stage.queued b", "stage.started b"]
    assert [(hint.pipeline, hint.seq, hint.releasable) for hint in answer.hints] == [(pipeline.uuid, 7, False)]
    assert answer.queued == []


async def test_what_was_told_is_not_told_again_by_a_release(pool):
    pipeline, worker = await submit(pool, {"a": (), "b": (), "join": ("a", "b")}), await a_worker(pool)
    await complete(worker, ending(await worker.start(pipeline)))
    await pipeline.release()
    assert [(await pipeline.stage("join"))[name] for name in ("status", "unmet")] == ["pending", 1]


@pytest.mark.parametrize("how", ["run out", "lost", "draining", "stopped", "of nobody"])
async def test_nothing_is_begun_without_a_lease(pool, how):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    completion = ending(await worker.start(pipeline))
    match how:
        case "run out":
            await worker.beat(lease_s=-1)
        case "lost":
            await worker.lose_lease()
        case "of nobody":
            worker = ScriptedWorker(pool, uuid4())
        case state:
            await workers.leave(pool, worker.id, state)
    await left_to_the_queue(pipeline, await complete(worker, completion), "b")
    assert (await pipeline.stage("a"))["status"] == "completed"


@pytest.mark.parametrize("offered", [serves(queues=[Queue.TRAINING]), serves(tasks=["train_model"]), serves(inline=0)])
async def test_nothing_is_begun_that_the_worker_does_not_serve(pool, offered):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    answer = await complete(worker, ending(await worker.start(pipeline)), offered=offered)
    await left_to_the_queue(pipeline, answer, "b")


async def test_of_each_kind_as_many_are_begun_as_slots_are_free(pool):
    pipeline, worker = await submit(pool, KINDS, of=OF), await a_worker(pool)
    answer = await complete(worker, ending(await worker.start(pipeline)), offered=serves(inline=2, process=1))
    assert {claim.name for claim in answer.claims} == {"p", "i", "j"}
    assert {claim.name for claim in answer.claims if claim.slot is Slot.PROCESS} == {"p"}
    assert "q" in await names(pool, [told.stage for told in answer.queued])
    assert (await pipeline.stage("q"))["status"] == "queued"


async def test_in_a_paused_pipeline_it_is_released_and_not_begun(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    completion = ending(await worker.start(pipeline))
    await pipelines.pause(pool, pipeline.uuid)
    answer = await complete(worker, completion)
    assert answer.claims == answer.queued == []
    assert (await pipeline.stage("b"))["status"] == "queued"


async def test_of_a_paused_queue_nothing_is_begun(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    completion = ending(await worker.start(pipeline))
    await queues.pause(pool, Queue.DEFAULT)
    answer = await complete(worker, completion)
    assert answer.claims == answer.queued == []
    assert (await pipeline.stage("b"))["status"] == "queued"


async def test_after_a_cancel_nothing_is_begun_and_the_pipeline_ends(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    completion = ending(await worker.start(pipeline))
    await pipelines.cancel(pool, pipeline.uuid)
    answer = await complete(worker, completion)
    assert answer.claims == answer.queued == []
    assert await pipeline.status() == "cancelled"
    assert await pipeline.statuses() == {"a": "completed", "b": "cancelled", "c": "cancelled"}


async def test_what_is_to_be_retried_tells_nobody(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await complete(worker, ending(await worker.start(pipeline), Outcome.FAILED, retry_delay_s=90))
    assert await pipeline.statuses() == {"a": "retrying", "b": "pending", "c": "pending"}
    assert not (await pipeline.stage("a"))["propagated"]


async def test_a_stage_that_goes_on_elsewhere_is_left_to_the_schedulers_at_once(pool):
    """As of a worker that drains: nobody is to wait for a sweep."""
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    drained = ending(await worker.start(pipeline), Outcome.CANCELLED, retry_delay_s=0, costs_retry=False)
    (hint,) = (await complete(worker, drained)).hints
    assert hint.releasable
    assert len((await pipeline.release()).queued) == 1


async def test_of_two_pipelines_one_goes_on_and_the_other_ends(pool):
    one, other, worker = await submit(pool, CHAIN), await submit(pool), await a_worker(pool)
    completions = [ending(await worker.start(pipeline)) for pipeline in (one, other)]
    answer = await complete(worker, *completions)
    assert [claim.name for claim in answer.claims] == ["b"]
    assert [await one.status(), await other.status()] == ["running", "completed"]
    assert {(hint.pipeline, hint.seq) for hint in answer.hints} == {(p.uuid, await p.seq()) for p in (one, other)}


@pytest.mark.parametrize("is_in_company", [False, True])
async def test_a_refused_outcome_is_named_and_tells_nobody(pool, is_in_company):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    stale, others = ending(await worker.start(pipeline)), []
    await worker.lose_lease()
    await stages.rescue(pool, 10)
    if is_in_company:
        worker = await a_worker(pool)
        others = [ending(await worker.start(await submit(pool)))]
    before = await pipeline.everything()
    answer = await complete(worker, stale, *others)
    assert (answer.stale, answer.claims, answer.queued) == ([stale.stage], [], [])
    assert await pipeline.everything() == before


async def test_an_outcome_that_comes_again_ends_nothing(pool):
    """Nobody would hear of the end: the hints are of what the outcomes of this call have changed."""
    pipeline, worker = await submit(pool), await a_worker(pool)
    completion = ending(await worker.start(pipeline))
    await worker.report(completion)
    assert (await complete(worker, completion)).hints == []
    assert await pipeline.status() == "running"
    await pipeline.release()
    assert await pipeline.status() == "completed"


async def test_nobody_who_has_one_of_two_pipelines_is_waited_for(pool):
    stuck, free, worker = await submit(pool, CHAIN), await submit(pool, CHAIN), await a_worker(pool)
    late, fine = [ending(await worker.start(pipeline)) for pipeline in (stuck, free)]
    async with held(pool, stuck):
        answer = await stages.complete_to_worker(pool, [late, fine], worker.id, serves())
    assert [claim.pipeline for claim in answer.claims] == [free.uuid]
    assert (answer.locked, answer.stale) == ([[late.stage]], [])
    assert await stuck.statuses() == {"a": "running", "b": "pending", "c": "pending"}


async def test_a_lease_that_ran_out_while_it_waited_begins_nothing(pool):
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    completion = ending(await worker.start(pipeline))
    async with held(pool, pipeline) as c:
        completing = asyncio.create_task(complete(worker, completion))
        await until_waiting(pool, 1)
        await c.execute("UPDATE workers SET lease_expires_at = clock_timestamp()")
    await left_to_the_queue(pipeline, await completing, "b")
