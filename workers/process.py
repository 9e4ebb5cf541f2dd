"""Run a process task: launch it under supervision, follow what it reports, conclude from how it ended."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from schemas.states import Outcome
from workers import contract, kernel
from workers.executors import local
from workers.executors.base import Exit, Launch
from workers.outcome import Ending
from workers.report import Reporter
from workers.room import Attempt, Room, Stop
from workers.tasks import Task

FOLLOW_S = 0.25
FOLLOW_AGAIN_S = 5.0
LAST_LINES_BYTES = 4_096
log = structlog.get_logger()


async def run_process(room: Room, attempt: Attempt, task: Task, params: Any, reporter: Reporter) -> Ending:
    """Run the process to the end of its whole group, or until it is stopped."""
    values = msgspec.to_builtins(params, str_keys=True)
    run = await asyncio.to_thread(contract.prepare, room.settings, attempt.claim, values)
    kills_before = kernel.oom_kills()
    follower = Follower(contract.EventTail(run.events), reporter)
    with room.progress_server.hearing(attempt.claim.stage, run.token_file, reporter.take) as variables:
        run.env.update(variables)
        launch = _launch(room, run, task, params)
        reporter.cwd = launch.cwd.absolute()
        process = await local.start(launch)
        following = asyncio.create_task(follower.follow())
        exit_ = await _until_end(process, attempt, room.settings.cancel_grace_s)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    await follower.read_rest()
    await reporter.close()
    if follower.result is None and task.result_of_exit is not None and exit_.exit_code == 0:
        follower.result = {"values": task.result_of_exit(contract.tail_log(run.log, LAST_LINES_BYTES))}
    ending = contract.conclude(
        run,
        exit_,
        follower.result,
        follower.error,
        lines_too_long=follower.tail.too_long,
        oom_kills=kernel.oom_kills() - kills_before,
    )
    return _checked(ending, task)


def _checked(ending: Ending, task: Task) -> Ending:
    """A result must be what its task declares: other stages refer to it."""
    try:
        if ending.outcome is Outcome.COMPLETED:
            msgspec.convert(ending.result, task.result, str_keys=True)
    except msgspec.ValidationError as error:
        return Ending.failed("result_invalid", f"The result is not what {task.name} declares: {error}", retryable=False)
    return ending


def _launch(room: Room, run: contract.Run, task: Task, params: Any) -> Launch:
    cwd = task.cwd(params)
    return Launch(
        argv=task.command_line(params),
        env={**run.env, **task.env(params)},
        cwd=Path(cwd) if cwd else run.directory,
        log_path=run.log,
        log_bytes_max=room.settings.stage_log_bytes_max,
    )


async def _until_end(process: local.LocalProcess, attempt: Attempt, grace_s: float) -> Exit:
    """Wait for the end; on a reason to stop, ask first and kill after the grace, or at once when fenced."""
    ended = asyncio.ensure_future(process.wait())
    ends_at = time.monotonic() + attempt.claim.time_limit_s
    if not await _either(ended, attempt.stopped(), attempt.claim.time_limit_s):
        attempt.stop(Stop.TIMEOUT)
    while not ended.done():
        reason = attempt.stop_reason
        if reason is Stop.FENCED:
            break
        process.terminate()
        # A drain ends by fencing what is left, unless it is called off; the timeout holds either way.
        patience_s = max(0.0, ends_at - time.monotonic()) if reason is Stop.DRAIN else grace_s
        if await _either(ended, attempt.stopped(after=reason), patience_s):
            continue
        if reason is not Stop.DRAIN:
            break
        attempt.stop(Stop.TIMEOUT)
    if not ended.done():
        process.kill()
    return await ended


async def _either(ended: asyncio.Future[Exit], stopped: Coroutine[Any, Any, Stop], timeout_s: float | None) -> bool:
    """Wait for the end or for a reason to stop; False when neither came in time."""
    stopping = asyncio.create_task(stopped)
    waiting: set[asyncio.Future[Any]] = {ended, stopping}
    done, _ = await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    return bool(done)


class Follower:
    """Reads what a running stage appends to its events file, and keeps its last result and error."""

    def __init__(self, tail: contract.EventTail, reporter: Reporter) -> None:
        self.tail = tail
        self.reporter = reporter
        self.result: dict[str, Any] | None = None
        self.error: dict[str, Any] | None = None

    async def follow(self) -> None:
        """Read again and again; progress and resume points hang on it, so a fault of ours does not end it."""
        while True:
            try:
                self._take(self.tail.read())
                await asyncio.sleep(FOLLOW_S)
            except Exception:
                log.exception("follower_failed")
                await asyncio.sleep(FOLLOW_AGAIN_S)

    async def read_rest(self) -> None:
        """Read what the stage wrote last; now that it has ended nothing more comes."""
        self._take(self.tail.read(last=True))
        while not self.tail.at_end:
            await asyncio.sleep(0)  # a huge file must not hold up the other stages
            self._take(self.tail.read(last=True))

    def _take(self, lines: Sequence[dict[str, Any]]) -> None:
        for line in lines:
            match line.get("type"):
                case "result":
                    self.result = line
                case "error":
                    self.error = line
                case _:
                    self.reporter.take(line)
