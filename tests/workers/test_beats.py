"""What a worker does on a beat's answer, and while there is none."""

from uuid import uuid4

import pytest

from schemas.queue import Queue
from schemas.stage import Beat
from tests.support.pipelines import fan, submit
from tests.support.workers import ScriptedWorker
from workers.lease import KILL_SHARE, WARN_SHARE
from workers.room import Room, Stop
from workers.worker import EXIT_LEASE_LOST, HeadwayWorker


@pytest.fixture
async def worker(settings, pool, queue):
    """A real one that holds three attempts and does nothing by itself."""
    room = Room(uuid4(), settings, pool, queue, {})
    await ScriptedWorker(pool, room.worker).register()
    for claim in await ScriptedWorker(pool, room.worker).claim(await submit(pool, fan(3)), *fan(3)):
        room.hold(claim)
    worker = HeadwayWorker(room, queue, [Queue.DEFAULT])
    yield worker
    worker.lease._own_loop.close()  # of a thread that never began


def reasons(worker) -> list[Stop | None]:
    return [attempt.stop_reason for attempt in worker.room.attempts.values()]


async def test_what_was_cancelled_and_what_is_no_longer_its_own_is_stopped(worker):
    _, cancelled, fenced = worker.room.attempts
    worker.on_beat(Beat(lost=False, cancelled=[cancelled], fenced=[fenced]))
    assert reasons(worker) == [None, Stop.CANCEL, Stop.FENCED]


async def test_a_lost_lease_ends_everything_and_the_worker_with_it(worker):
    worker.on_beat(Beat(lost=True))
    assert reasons(worker) == [Stop.FENCED] * 3
    assert worker.draining.is_set()
    assert worker.exit_code == EXIT_LEASE_LOST


async def test_in_doubt_it_takes_nothing_more_and_asks_what_runs_to_leave(worker):
    worker.on_doubt(WARN_SHARE + 0.01)
    assert reasons(worker) == [Stop.DRAIN] * 3
    assert not worker.leased.is_set()
    worker.on_beat(Beat(lost=False))
    assert worker.leased.is_set()


async def test_shortly_before_its_lease_can_be_taken_it_ends_what_runs(worker):
    worker.on_doubt(KILL_SHARE + 0.01)
    assert reasons(worker) == [Stop.FENCED] * 3
    assert KILL_SHARE < 1
