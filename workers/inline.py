"""Run an inline task: an async function of light I/O in the worker's own event loop."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from schemas.states import Outcome
from workers.contract import check_result
from workers.outcome import Ending
from workers.report import Reporter
from workers.room import Attempt, Room, Stop
from workers.tasks import Task, TaskContext


async def run_inline(room: Room, attempt: Attempt, task: Task, params: Any, reporter: Reporter) -> Ending:
    """Run the function to its end, or until it is stopped. One that swallows its cancellation cannot be stopped."""
    assert task.run is not None
    claim = attempt.claim
    context = TaskContext(
        stage_uuid=claim.stage,
        pipeline_uuid=claim.pipeline,
        pipeline_name=claim.pipeline_name,
        stage_name=claim.name,
        attempt=claim.attempt,
        report=reporter.take,
        pool=room.pool,
        data_dir=room.settings.data_dir,
    )
    limit = asyncio.timeout(claim.time_limit_s)
    attempt.on_stop = _cancel_this()
    try:
        async with limit:
            result = await task.run(context, params)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it raises is its outcome
        if limit.expired():
            attempt.stop(Stop.TIMEOUT)
        return _failed(error)
    finally:
        attempt.on_stop = None
        await reporter.close()
    return _ended(msgspec.to_builtins(result, str_keys=True))


def _cancel_this() -> Callable[[], object]:
    working = asyncio.current_task()
    assert working is not None
    return working.cancel


def _failed(error: BaseException) -> Ending:
    if isinstance(error, asyncio.CancelledError):
        return Ending(Outcome.CANCELLED)
    return Ending.failed("task_error", f"{type(error).__name__}: {error}")


def _ended(result: Any) -> Ending:
    if problem := check_result(result):
        return Ending.failed("result_invalid", problem, retryable=False)
    return Ending.completed(result)
