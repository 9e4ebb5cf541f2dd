"""Run an inline task: an async function of light I/O in the worker's own event loop."""

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.db.pool import Pool
from schemas.states import Outcome
from workers import contract
from workers.outcome import Ending
from workers.report import Reporter
from workers.room import Attempt, Room, Stop
from workers.tasks import NotRetryable, Task, TaskContext
from workers.tasks.results import ResultInvalid, as_json


@dataclass(frozen=True, kw_only=True)
class InlineContext(TaskContext):
    """The context of a function in the worker. The built-in tasks use its pool; others have no business with that."""

    room: Room
    held: Attempt
    reporter: Reporter
    loop: asyncio.AbstractEventLoop

    @property
    def run_dir(self) -> Path:
        """The directory of this attempt, made when it is asked for."""
        return contract.make_directory(self.room.settings, self.held.claim)

    @property
    def pool(self) -> Pool:
        """Headway's own connections to Postgres."""
        return self.room.pool

    @property
    def data_dir(self) -> Path:
        """Where all artifacts lie."""
        return self.room.settings.data_dir

    def should_stop(self) -> bool:
        """Whether the function was stopped: for threads that it has started, which its cancellation does not reach."""
        return self.held.stop_reason is not None

    def report(self, line: dict[str, Any]) -> None:
        """Pass on a line; threads of the function may do so too."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.reporter.take, line)


async def run_inline(room: Room, attempt: Attempt, task: Task, params: Any, reporter: Reporter) -> Ending:
    """Run the function to its end, or until it is stopped. One that swallows its cancellation cannot be stopped."""
    context = _context(room, attempt, reporter)
    limit = asyncio.timeout(attempt.claim.time_limit_s)
    attempt.on_stop = _cancel_this()
    try:
        async with limit:
            result = await task(context, params)
    except (Exception, asyncio.CancelledError, SystemExit) as error:  # noqa: BLE001 - whatever it raises is its outcome
        if limit.expired():
            attempt.stop(Stop.TIMEOUT)
        return _failed(error)
    finally:
        attempt.on_stop = None
        await asyncio.sleep(0)  # the reports that are on their way arrive first
        await reporter.close()
    return _ended(result, task)


def _context(room: Room, attempt: Attempt, reporter: Reporter) -> InlineContext:
    claim = attempt.claim
    return InlineContext(
        pipeline_uuid=claim.pipeline,
        pipeline_name=claim.pipeline_name,
        stage_name=claim.name,
        task_id=claim.stage,
        attempt=claim.attempt,
        deadline=claim.started_at + claim.time_limit_s,
        resume_from=Path(claim.resume_from) if claim.resume_from else None,
        room=room,
        held=attempt,
        reporter=reporter,
        loop=asyncio.get_running_loop(),
    )


def _cancel_this() -> Callable[[], object]:
    working = asyncio.current_task()
    assert working is not None
    return working.cancel


def _failed(error: BaseException) -> Ending:
    if isinstance(error, asyncio.CancelledError):
        return Ending(Outcome.CANCELLED)
    if isinstance(error, NotRetryable):
        return Ending.failed("task_error", _message(str(error)), retryable=False)
    text = "".join(traceback.format_exception(error))[-contract.TRACEBACK_CHARS_MAX :]
    return Ending.failed("task_error", _message(f"{type(error).__name__}: {error}"), traceback=contract.clean(text))


def _message(text: str) -> str:
    return contract.clean(text, contract.ERROR_MESSAGE_CHARS_MAX)


def _ended(result: Any, task: Task) -> Ending:
    try:
        values = as_json(result, task.result)
    except ResultInvalid as invalid:
        return Ending.failed("result_invalid", _message(str(invalid)), retryable=False)
    if problem := contract.check_result(values):
        return Ending.failed("result_invalid", problem, retryable=False)
    return Ending.completed(values)
