"""The completer: an outcome is held until Postgres has answered for it, whatever happens in between."""

import asyncio
from uuid import uuid4

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

import workers.completer
from app.errors import Unavailable
from app.services import stages
from tests.support.locks import held, until_waiting
from tests.support.pipelines import fan, submit
from tests.support.workers import ScriptedWorker, ending
from workers.completer import Completer
from workers.room import Room

EVENTS, COMPLETIONS = "headway:events", "headway:completions"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(workers.completer, "PAUSE_S", 0)


@pytest.fixture
async def pipeline(pool):
    return await submit(pool, fan(3))


@pytest.fixture
async def completer(settings, pool, queue, pipeline):
    """Of a worker that holds three attempts."""
    room = Room(uuid4(), settings, pool, queue, {})
    await ScriptedWorker(pool, room.worker).register()
    for claim in await ScriptedWorker(pool, room.worker).claim(pipeline, *fan(3)):
        room.hold(claim)
    return Completer(room)


async def complete_all(completer):
    for attempt in list(completer.room.attempts.values()):
        completer.put(ending(attempt.claim))
    await completer.drained()


def first(completer, monkeypatch, answer):
    """The first call for completions goes as ``answer`` says, which is given the true one; the others go as they do.

    Returns what each call brought, and how many attempts were held by then.
    """
    complete, calls = stages.complete_to_worker, []

    async def completing(pool, batch, *whom):
        async def truly(some):
            return await complete(pool, some, *whom)

        calls.append((len(batch), len(completer.room.attempts)))
        return await answer(truly, batch) if len(calls) == 1 else await truly(batch)

    monkeypatch.setattr(stages, "complete_to_worker", completing)
    return calls


async def test_outcomes_are_committed_together_let_go_and_told(completer, pipeline, redis, monkeypatch):
    calls = first(completer, monkeypatch, lambda complete, batch: complete(batch))
    await complete_all(completer)
    assert set((await pipeline.statuses()).values()) == {"completed"}
    assert completer.room.attempts == {}
    assert calls == [(3, 3)]
    ((_, said),) = await redis.xrange(EVENTS)
    assert int(said[b"s"]) == await pipeline.seq()


async def test_an_outcome_whose_reply_was_lost_is_said_again(completer, pipeline, monkeypatch):
    async def lose_the_reply(complete, batch):
        await complete(batch)
        raise Unavailable("the reply was lost")

    calls = first(completer, monkeypatch, lose_the_reply)
    await complete_all(completer)
    assert calls == [(3, 3), (3, 3)]
    assert completer.room.attempts == {}
    assert set((await pipeline.statuses()).values()) == {"completed"}


async def test_what_was_left_out_because_it_was_locked_is_said_again(completer, pipeline, monkeypatch):
    async def leave_out_the_last(complete, batch):
        return replace(await complete(batch[:-1]), locked=[[batch[-1].stage]])

    async def come_back_in_vain(_pool, _batch, answer):
        return answer

    calls = first(completer, monkeypatch, leave_out_the_last)
    monkeypatch.setattr(stages, "complete_locked", come_back_in_vain)
    await complete_all(completer)
    assert calls == [(3, 3), (1, 1)]
    assert set((await pipeline.statuses()).values()) == {"completed"}


async def test_what_is_locked_for_longer_than_a_moment_is_waited_for(completer, pipeline, pool, monkeypatch):
    calls = first(completer, monkeypatch, lambda complete, batch: complete(batch))
    async with held(pool, pipeline, other := await submit(pool)):
        completing = asyncio.create_task(complete_all(completer))
        await until_waiting(pool, 1)
        assert await pool.fetchval("SELECT lock_pipelines($1, wait => false)", [other.id]) == []  # a moment has passed
        await until_waiting(pool, 1)
    await completing
    assert calls == [(3, 3)]
    assert set((await pipeline.statuses()).values()) == {"completed"}


async def test_a_bug_that_strikes_one_outcome_costs_no_other(completer, pipeline, monkeypatch):
    def breaking(complete):
        async def completing(pool, batch, *whom):
            if culprit in {completion.stage for completion in batch}:
                raise ZeroDivisionError
            return await complete(pool, batch, *whom)

        return completing

    culprit = next(iter(completer.room.attempts.values())).claim.stage
    for way in ("complete", "complete_to_worker"):
        monkeypatch.setattr(stages, way, breaking(getattr(stages, way)))
    await complete_all(completer)
    assert sorted((await pipeline.statuses()).values()) == ["completed", "completed", "running"]
    assert completer.room.attempts == {}


async def test_hints_that_do_not_reach_redis_hold_up_nobody(completer, pipeline, monkeypatch):
    monkeypatch.setattr(workers.completer, "BATCH_MAX", 1)

    async def announce(_):
        raise OSError

    monkeypatch.setattr(completer.room.queue, "announce", announce)
    with capture_logs() as said:
        await complete_all(completer)
    assert {line["event"] for line in said} == {"hint_lost"}
    assert set((await pipeline.statuses()).values()) == {"completed"}
