"""The guard of the lease: it counts from before a beat, warns in time, and does not outlive a blocked event loop."""

import asyncio
import os
from types import SimpleNamespace

import pytest

import workers.lease
from schemas.stage import Beat
from workers.lease import EXIT_SILENT_LOOP, SILENT_SHARE, STEPS, WARN_SHARE, Lease

TIMEOUT_S = 30.0


@pytest.fixture
def clock(monkeypatch):
    """The guard's sense of time; nobody else's."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(workers.lease, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
async def lease(settings, clock):
    """A lease just taken, whose thread never begins."""
    timings = {"lease_timeout_s": TIMEOUT_S, "heartbeat_interval_s": 10}
    room = SimpleNamespace(settings=settings.model_copy(update=timings), attempts={}, worker=None)
    doubts = []
    lease = Lease(room, on_beat=lambda _: None, on_doubt=doubts.append)
    lease.doubts = doubts
    yield lease
    lease._own_loop.close()


async def test_a_lease_counts_from_before_the_beat_that_renewed_it(lease, clock, monkeypatch):
    async def slow_beat(*_):
        clock.now += 5
        return Beat(lost=False)

    monkeypatch.setattr(workers.lease.db, "beat", slow_beat)
    await lease._beat(SimpleNamespace())
    clock.now += WARN_SHARE * TIMEOUT_S - 4
    lease._guard()
    await asyncio.sleep(0)
    assert len(lease.doubts) == 1


@pytest.mark.parametrize(("share", "doubts"), [(WARN_SHARE - 0.01, 0), (WARN_SHARE + 0.01, 1), (0.95, 1)])
async def test_a_lease_that_was_not_renewed_in_time_is_in_doubt(lease, clock, share, doubts):
    clock.now += share * TIMEOUT_S
    lease._guard()
    await asyncio.sleep(0)
    assert len(lease.doubts) == doubts


async def test_an_event_loop_that_is_silent_for_half_a_lease_ends_the_process(lease, monkeypatch):
    ends = []
    monkeypatch.setattr(os, "_exit", ends.append)
    for _ in range(int(SILENT_SHARE * STEPS)):
        lease._guard()
    assert ends == []
    lease._guard()
    assert ends == [EXIT_SILENT_LOOP]


async def test_one_that_answers_in_between_does_not(lease, monkeypatch):
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail(f"exit {code}"))
    for _ in range(STEPS * 2):
        lease._guard()
        await asyncio.sleep(0)
