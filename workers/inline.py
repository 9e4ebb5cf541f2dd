"""Run an inline task: an async function of light I/O in the worker's own event loop."""

import asyncio
from typing import Any

import msgspec

from schemas.states import Outcome
from workers.contract import check_result
from workers.outcome import Ending
from workers.report import Reporter
from workers.room import Attempt, Room, Stop
from workers.tasks import Task, TaskContext


async def run_inline(room: Room, attempt: Attempt, task: Task, params: Any, reporter: Reporter) -> Ending:
    """Run the function to its end, or until it is stopped."""
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
    working = asyncio.ensure_future(task.run(context, params))
    stopping = asyncio.create_task(attempt.stopped())
    done, _ = await asyncio.wait({working, stopping}, timeout=claim.timeout_s, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not done:
        attempt.stop(Stop.TIMEOUT)
    if not working.done():
        working.cancel()
        # A function that swallows its cancellation is given up after the grace; it cannot be killed.
        await asyncio.wait({working}, timeout=room.settings.cancel_grace_s)
    await reporter.close()
    return _ending(working)


def _ending(working: asyncio.Future[Any]) -> Ending:
    if not working.done() or working.cancelled():
        return Ending(Outcome.CANCELLED)
    if error := working.exception():
        return Ending.failed("task_error", f"{type(error).__name__}: {error}", retryable=True)
    result = msgspec.to_builtins(working.result(), str_keys=True)
    if problem := check_result(result):
        return Ending.failed("result_invalid", problem, retryable=False)
    return Ending.completed(result)
