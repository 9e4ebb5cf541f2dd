"""Stops: a process is asked to end before it is killed; what its attempt then costs depends on who stopped it."""

import asyncio

import pytest

from schemas.states import Outcome
from tests.support.pipelines import submit
from tests.support.workers import a_worker
from workers.executors.base import Exit
from workers.outcome import Ending
from workers.process import _until_end
from workers.room import Attempt, Stop
from workers.stage import _completion


class Stubborn:
    """A process that ends when it is killed, and not before."""

    def __init__(self) -> None:
        self.orders = []
        self._ended = asyncio.Event()

    async def wait(self) -> Exit:
        await self._ended.wait()
        return Exit(signal=9)

    def terminate(self) -> None:
        self.orders.append("terminate")

    def kill(self) -> None:
        self.orders.append("kill")
        self._ended.set()


@pytest.fixture
async def attempt(pool):
    """An attempt that has just begun."""
    return Attempt(await (await a_worker(pool)).start(await submit(pool, max_retries=1, retry_delay_s=7.0)))


@pytest.mark.parametrize(
    ("reasons", "orders"),
    [
        ([Stop.CANCEL], ["terminate", "kill"]),
        ([Stop.TIMEOUT], ["terminate", "kill"]),
        ([Stop.FENCED], ["kill"]),
        ([Stop.DRAIN, Stop.CANCEL], ["terminate", "terminate", "kill"]),
        ([Stop.DRAIN, Stop.FENCED], ["terminate", "kill"]),
    ],
)
async def test_a_process_is_asked_and_after_the_grace_killed_but_killed_at_once_when_fenced(attempt, reasons, orders):
    process = Stubborn()
    running = asyncio.create_task(_until_end(process, attempt, 0.001))
    for reason in reasons:
        attempt.stop(reason)
        while not process.orders:  # noqa: ASYNC110 - no event tells of an order
            await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await running
    assert process.orders == orders


@pytest.mark.parametrize("reason", list(Stop))
async def test_what_completed_has_completed_whoever_wanted_it_to_stop(attempt, reason):
    completion = _completion(attempt.claim, Ending.completed({"answer": 42}), reason)
    assert (completion.outcome, completion.result) == (Outcome.COMPLETED, {"answer": 42})


@pytest.mark.parametrize(
    ("reason", "outcome", "retried", "costs_retry"),
    [
        (None, Outcome.FAILED, True, True),
        (Stop.TIMEOUT, Outcome.TIMED_OUT, True, True),
        (Stop.DRAIN, Outcome.CANCELLED, True, False),
        (Stop.FENCED, Outcome.CANCELLED, True, False),
        (Stop.CANCEL, Outcome.CANCELLED, False, True),
    ],
    ids=["by itself", "at its timeout", "by a drain", "by a fence", "by a cancel"],
)
async def test_an_attempt_that_was_stopped_costs_what_its_stop_deserves(attempt, reason, outcome, retried, costs_retry):
    completion = _completion(attempt.claim, Ending(Outcome.CANCELLED), reason)
    assert (completion.outcome, completion.costs_retry) == (outcome, costs_retry)
    assert (completion.retry_delay_s is not None) is retried
