"""A worker whose lease is in doubt starts nothing, and hands back only what it really knows nothing of."""

import asyncio
import sys
from types import SimpleNamespace
from uuid import uuid4

import pytest

from app.errors import Unavailable
from app.queue import JobQueue, open_redis
from app.services import stages
from schemas.queue import Queue, Slot
from schemas.stage import Beat, Stranger
from tests.support.jobs import pop
from tests.support.locks import until
from tests.support.pipelines import Submitted, all_queued, submit
from tests.support.workers import ScriptedWorker
from workers.room import Room
from workers.tasks.built_in import BUILT_IN
from workers.worker import HeadwayWorker


@pytest.fixture
async def worker(settings, pool, queue, valkey):
    """A real one that has a lease but serves only what it is given."""
    blocking = open_redis(valkey.url, blocking=True)
    room = Room(uuid4(), settings, pool, queue, BUILT_IN)
    await ScriptedWorker(pool, room.worker).register()
    worker = HeadwayWorker(room, JobQueue(blocking), [Queue.DEFAULT])
    yield worker
    await worker.runner.completer.drained()  # what it tells when all is committed needs its connections
    worker.lease._own_loop.close()  # of a thread that never began
    await blocking.aclose(close_connection_pool=True)


async def jobs_of(pool, queue, slot=Slot.PROCESS):
    await queue.dispatch(await all_queued(pool))
    return await pop(queue, slot=slot)


async def a_command(pool, *argv: str, **fields) -> Submitted:
    params = {"argv": list(argv)}
    return await submit(pool, task="run_command", slot=Slot.PROCESS, params=params, **fields)


async def ended(pipeline: Submitted) -> list[str | None]:
    await until(lambda: _has_ended(pipeline))
    return await pipeline.outcomes()


async def _has_ended(pipeline: Submitted) -> bool:
    return (await pipeline.stage())["lease_token"] is None


async def goes_on_elsewhere(pipeline: Submitted) -> bool:
    """Its next attempt is due at once, and has been queued or will be."""
    return (await pipeline.stage())["status"] in {"retrying", "queued"}


async def test_a_claim_that_is_answered_while_the_lease_is_in_doubt_is_not_started(worker, pool, queue, tmp_path):
    pipeline = await a_command(pool, "touch", str(tmp_path / "started"))
    jobs = await jobs_of(pool, queue)
    worker.on_doubt(0.7)
    await worker._start(Slot.PROCESS, jobs)
    assert await ended(pipeline) == ["cancelled"]
    assert await goes_on_elsewhere(pipeline)
    assert not (tmp_path / "started").exists()


async def test_a_claim_whose_answer_took_longer_than_a_lease_is_not_started(worker, pool, queue, monkeypatch, tmp_path):
    pipeline = await a_command(pool, "touch", str(tmp_path / "started"))
    jobs, moments = await jobs_of(pool, queue), iter([0.0, 3.1])
    monkeypatch.setattr("workers.worker.time", SimpleNamespace(monotonic=lambda: next(moments)))
    await worker._start(Slot.PROCESS, jobs)
    assert await ended(pipeline) == ["cancelled"]
    assert await goes_on_elsewhere(pipeline)
    assert not (tmp_path / "started").exists()


async def test_an_attempt_whose_claim_is_still_being_repeated_is_not_handed_back(worker, pool, queue, monkeypatch):
    pipeline = await submit(pool)
    claim, calls = stages.claim, []

    async def the_reply_is_lost(*arguments):
        answer = await claim(*arguments)
        calls.append(answer)
        if len(calls) == 1:
            raise Unavailable("the reply was lost")
        return answer

    monkeypatch.setattr(stages, "claim", the_reply_is_lost)
    starting = asyncio.create_task(worker._start(Slot.INLINE, await jobs_of(pool, queue, Slot.INLINE)))
    await until(lambda: _is_running(pipeline))
    row = await pipeline.stage()
    worker.on_beat(Beat(lost=False, strangers=[Stranger(row["uuid"], row["attempt"], row["lease_token"])]))
    await starting
    assert await ended(pipeline) == ["completed"]


async def _is_running(pipeline: Submitted) -> bool:
    return (await pipeline.stage())["lease_token"] is not None


async def test_an_attempt_that_it_has_forgotten_goes_on_elsewhere_and_counts_as_no_loss(worker, pool):
    pipeline = await submit(pool)
    claim = await ScriptedWorker(pool, worker.room.worker).start(pipeline)
    worker.on_beat(Beat(lost=False, strangers=[Stranger(claim.stage, claim.attempt, claim.lease_token)]))
    assert await ended(pipeline) == ["cancelled"]
    stage = await pipeline.stage()
    assert (stage["losses"], stage["failures"]) == (0, 0)
    assert await goes_on_elsewhere(pipeline)


async def test_a_stage_that_ignores_a_drain_which_is_called_off_is_ended_at_its_timeout(worker, pool, queue, tmp_path):
    code = (
        f"import signal, time; signal.signal(15, signal.SIG_IGN); open({str(tmp_path / 'runs')!r}, 'w'); time.sleep(60)"
    )
    pipeline = await a_command(pool, sys.executable, "-c", code, timeout_s=3.0)
    await worker._start(Slot.PROCESS, await jobs_of(pool, queue))
    await until(lambda: asyncio.to_thread((tmp_path / "runs").exists))
    worker.on_doubt(0.7)
    worker.on_beat(Beat(lost=False))
    assert await ended(pipeline) == ["timed_out"]
