"""Inline tasks in their worker: what one may do, and what a worker does with a task that it does not know."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from app.db.pool import Pool
from app.queue import JobQueue
from app.settings import Settings
from schemas.states import Outcome
from tests.support.pipelines import ONE, Submitted, submit
from tests.support.workers import a_worker
from workers.completer import Completer
from workers.inline import run_inline
from workers.outcome import Ending
from workers.report import Reporter
from workers.room import Attempt, Room
from workers.stage import UNKNOWN_TASK_DELAY_S, StageRunner
from workers.tasks import NotRetryable, Queue, Slot, Task, TaskContext

Function = Callable[[TaskContext, Any], Awaitable[Any]]


class P(Struct):
    pass


class R(Struct):
    by: dict[int, str] = {}


@pytest.fixture
async def pipeline(pool: Pool) -> Submitted:
    return await submit(pool, ONE)


@pytest.fixture
async def attempt(pool: Pool, queue: JobQueue, settings: Settings, pipeline: Submitted) -> tuple[Room, Attempt]:
    """A worker's room and an attempt that it holds."""
    worker = await a_worker(pool)
    room = Room(worker.id, settings, pool, queue, {})
    return room, room.hold(await worker.start(pipeline))


@pytest.fixture
def run(attempt: tuple[Room, Attempt]) -> Callable[[Function], Awaitable[Ending]]:
    """Run a function as an inline task."""

    async def run(function: Function) -> Ending:
        room, held = attempt
        task = Task("t", Queue.DEFAULT, Slot.INLINE, P, R, run=function)
        return await run_inline(room, held, task, P(), Reporter(room, held, StageRunner(room, Completer(room)).live))

    return run


async def test_its_result_is_stored_in_the_types_of_json(run):
    async def f(_context: TaskContext, _params: P) -> R:
        return R({1: "one"})

    assert await run(f) == Ending.completed({"by": {"1": "one"}})


async def test_its_error_is_told_with_type_and_traceback(run):
    async def f(_context: TaskContext, _params: P) -> R:
        raise ValueError("a\0b")

    ending = await run(f)
    assert (ending.outcome, ending.retryable) == (Outcome.FAILED, True)
    assert ending.error["message"] == "ValueError: a\ufffdb"
    assert "test_inline.py" in ending.error["traceback"]


async def test_an_error_that_is_not_retryable_is_told_without_its_type(run):
    async def f(_context: TaskContext, _params: P) -> R:
        raise NotRetryable("no such bucket")

    ending = await run(f)
    assert ending == Ending.failed("task_error", "no such bucket", retryable=False)


@pytest.mark.parametrize("result", [None, {"by": 1}, R({1: 2}), R({1: object()}), [R()]])
async def test_a_result_that_it_did_not_declare_is_refused_for_good(run, result):
    async def f(_context: TaskContext, _params: P) -> R:
        return result

    ending = await run(f)
    assert (ending.error["code"], ending.retryable) == ("result_invalid", False)


async def test_a_result_that_is_too_large_is_refused_for_good(run):
    async def f(_context: TaskContext, _params: P) -> R:
        return R({1: "x" * 300_000})

    ending = await run(f)
    assert (ending.error["code"], ending.retryable) == ("result_invalid", False)


async def test_what_it_reports_last_is_kept_also_from_a_thread(run, pipeline: Submitted):
    async def f(context: TaskContext, _params: P) -> R:
        context.progress(1, 4)
        await asyncio.to_thread(context.progress, 2, 4)
        context.progress(3, 4)
        return R()

    await run(f)
    assert (await pipeline.stage("a"))["progress"] == 0.75


async def test_who_reports_after_the_end_reports_to_nobody(run, pipeline: Submitted):
    late: list[TaskContext] = []

    async def f(context: TaskContext, _params: P) -> R:
        late.append(context)
        return R()

    await run(f)
    before = asyncio.all_tasks()
    late[0].progress(1, 2)
    reporting = threading.Thread(target=late[0].progress, args=(1, 2))
    reporting.start()
    await asyncio.to_thread(reporting.join)
    await asyncio.sleep(0)
    assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()
    assert (await pipeline.stage("a"))["progress"] is None


async def test_its_directory_is_made_when_it_asks_for_it(run, settings: Settings):
    directories = []

    async def f(context: TaskContext, _params: P) -> R:
        assert not (settings.data_dir / "artifacts").exists()
        directories.append(context.run_dir)
        return R()

    await run(f)
    assert directories[0].is_dir()
    assert directories[0].parts[-2:] == ("a", "1")
    assert directories[0].parents[2].stat().st_mode & 0o777 == 0o700


async def test_a_worker_hands_back_a_task_that_it_does_not_know_at_no_cost(
    attempt: tuple[Room, Attempt], pipeline: Submitted, pool: Pool
):
    room, held = attempt
    completer = Completer(room)

    await StageRunner(room, completer).run({"attempt": held})
    await completer.drained()

    stage = await pipeline.stage("a")
    assert (stage["status"], stage["attempt"], stage["failures"], stage["losses"]) == ("retrying", 1, 0, 0)
    assert msgspec.json.decode(stage["error"])["code"] == "task_unknown"
    waits_s = await pool.fetchval("SELECT extract(epoch FROM s.retry_at - a.finished_at) FROM attempts a, stages s")
    assert float(waits_s) == pytest.approx(UNKNOWN_TASK_DELAY_S, abs=0.01)
