"""Follow up: what a few outcomes make possible is released where they are committed; the rest is left to others."""

import asyncio

import pytest

from app.services import stages
from schemas.stage import Serves
from schemas.states import Outcome
from tests.support.jobs import pop
from tests.support.locks import until
from tests.support.pipelines import CHAIN, DIAMOND, fan, submit
from tests.support.workers import a_worker, ending
from workers.completer import Completer
from workers.room import Room

NEWS, COMPLETIONS = "headway:events", "headway:completions"


@pytest.fixture
async def worker(pool):
    return await a_worker(pool)


@pytest.fixture
def room(settings, pool, queue, worker):
    return Room(worker.id, settings, pool, queue, {})


async def complete(room, worker, *stages_of):
    """Commit these stages of these pipelines, all at once."""
    claims = [claim for pipeline, names in stages_of for claim in await worker.claim(pipeline, *names)]
    await commit(room, *map(ending, claims))


async def commit(room, *completions):
    completer = Completer(room)
    for completion in completions:
        completer.put(completion)
    await completer.drained()


async def seqs(room):
    return [int(said[b"s"]) for _, said in await room.queue.redis.xrange(NEWS)]


async def test_what_waited_for_it_is_queued_at_once(pool, queue, redis, worker, room):
    pipeline = await submit(pool, DIAMOND)
    await complete(room, worker, (pipeline, "a"))
    assert await pipeline.statuses() == {"a": "completed", "b": "queued", "c": "queued", "d": "pending"}
    assert {job.stage for job in await pop(queue)} == {(await pipeline.stage(name))["uuid"] for name in "bc"}
    assert await seqs(room) == [await pipeline.seq()]
    assert await redis.xlen(COMPLETIONS) == 0  # the schedulers have nothing to do


async def test_the_last_outcome_ends_its_pipeline(pool, worker, room):
    pipeline = await submit(pool)
    await complete(room, worker, (pipeline, "a"))
    assert await pipeline.status() == "completed"
    assert await seqs(room) == [await pipeline.seq()]


async def left_to_the_schedulers(room, *pipelines):
    told = {int(said[b"i"]) for _, said in await room.queue.redis.xrange(COMPLETIONS)}
    assert told == {pipeline.id for pipeline in pipelines}


async def test_outcomes_of_many_pipelines_are_left_to_the_schedulers(pool, worker, room):
    pipelines = [await submit(pool, CHAIN) for _ in range(stages.PIPELINES_MAX + 1)]
    await complete(room, worker, *((pipeline, "a") for pipeline in pipelines))
    await left_to_the_schedulers(room, *pipelines)
    assert [(await each.stage("b"))["status"] for each in pipelines] == ["pending"] * len(pipelines)


async def test_a_wide_fan_is_left_to_the_schedulers(pool, worker, room):
    children = fan(stages.DEPENDENTS_MAX + 1)
    pipeline = await submit(pool, {"root": (), **dict.fromkeys(children, ("root",))})
    await complete(room, worker, (pipeline, ["root"]))
    assert await pipeline.statuses() == {"root": "completed", **dict.fromkeys(children, "pending")}
    await left_to_the_schedulers(room, pipeline)


async def test_what_is_skipped_is_told_and_what_waits_for_it_left_to_the_schedulers(pool, worker, room):
    pipeline = await submit(pool, CHAIN)
    (claim,) = await worker.claim(pipeline, "a")
    await commit(room, ending(claim, Outcome.FAILED))
    assert await pipeline.statuses() == {"a": "failed", "b": "skipped", "c": "pending"}
    await left_to_the_schedulers(room, pipeline)


async def test_a_bug_in_the_follow_up_costs_no_outcome_and_is_not_met_again(pool, worker, room, monkeypatch):
    """What could have been claimed unheard is not offered again."""

    async def break_off(*_):
        raise ZeroDivisionError

    pipeline = await submit(pool, CHAIN)
    monkeypatch.setattr(stages, "complete_to_worker", break_off)
    await complete(room, worker, (pipeline, "a"))
    assert await pipeline.statuses() == {"a": "completed", "b": "pending", "c": "pending"}
    await left_to_the_schedulers(room, pipeline)
    with room.offering() as offer:
        assert offer.serves == Serves()


async def test_what_cannot_be_stored_costs_its_own_stage_only(pool, worker, room):
    one, other = await submit(pool, CHAIN), await submit(pool, CHAIN)
    (bad,), (good,) = await worker.claim(one, "a"), await worker.claim(other, "a")
    await commit(room, ending(bad, result={"text": "\0"}), ending(good))
    assert "result_invalid" in (await one.stage("a"))["error"]
    assert (await other.stage("a"))["status"] == "completed"
    await left_to_the_schedulers(room, one, other)


async def test_an_outcome_that_comes_twice_is_followed_up_once(pool, worker, room):
    pipeline = await submit(pool, CHAIN)
    (claim,) = await worker.claim(pipeline, "a")
    await commit(room, ending(claim))
    history = await pipeline.history()
    await commit(room, ending(claim))
    assert await pipeline.history() == history
    assert (await pipeline.stage("b"))["dispatch_token"] == 1


async def test_outcomes_are_committed_while_the_last_ones_are_told(pool, worker, room, monkeypatch):
    """A Redis that hangs holds up no outcome but the one after the next."""
    told = asyncio.Event()

    async def hang(*_):
        await told.wait()

    monkeypatch.setattr("workers.completer.publish", hang)
    first, second = await submit(pool), await submit(pool)
    (one,), (other,) = await worker.claim(first, "a"), await worker.claim(second, "a")
    completer = Completer(room)
    completer.put(ending(one))
    await until(lambda: has_ended(first))
    completer.put(ending(other))
    await until(lambda: has_ended(second))
    told.set()
    await completer.drained()


async def has_ended(pipeline):
    return await pipeline.status() == "completed"
