"""One attempt as a sentence: prepare the inputs, execute the task, settle the outcome."""

import asyncio
import random
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from app.core.references import UnresolvedReference
from app.core.retry import next_delay_s
from app.errors import Unavailable
from app.log import Outage
from app.services import stages
from schemas.queue import Slot
from schemas.stage import Claim, Completion
from schemas.states import Outcome
from workers.completer import Completer
from workers.diagnosis import diagnosed
from workers.inline import run_inline
from workers.outcome import Ending
from workers.process import run_process
from workers.publish import LiveReports
from workers.report import Reporter
from workers.resume import resume_point
from workers.room import Attempt, Room, Stop
from workers.tasks import Task

PAUSE_S = 0.5
UNKNOWN_TASK_DELAY_S = 10.0
log = structlog.get_logger()


class StageRunner:
    """Runs the attempts that this worker has been granted."""

    def __init__(self, room: Room, completer: Completer) -> None:
        self.room = room
        self.completer = completer
        self.live = LiveReports(room.queue)

    async def run(self, ctx: dict[str, Any]) -> None:
        """arq's entry: run the attempt to its end, whatever that is, and hand over its outcome."""
        attempt: Attempt = ctx["attempt"]
        claim = attempt.claim
        # Never unbound: each attempt is an asyncio task of its own, and with it goes its context.
        structlog.contextvars.bind_contextvars(pipeline=str(claim.pipeline), stage=claim.name, attempt=claim.attempt)
        task = self.room.tasks.get(claim.task)
        if task is None:
            self.completer.put(_hand_back(claim))
            return
        reporter = Reporter(self.room, attempt, self.live)
        ending = await self._execute(attempt, task, reporter)
        completion = _completion(claim, ending, attempt.stop_reason)
        self.completer.put(await diagnosed(completion, ending, reporter.heard))

    async def _execute(self, attempt: Attempt, task: Task, reporter: Reporter) -> Ending:
        try:
            params = msgspec.convert(await self._inputs(attempt), task.params, str_keys=True)
        except (UnresolvedReference, msgspec.ValidationError) as error:
            return Ending.failed("param_invalid", str(error), retryable=False)
        try:
            await self._find_resume_point(attempt)
            if attempt.stop_reason is not None:
                return Ending(Outcome.CANCELLED)
            execute = run_inline if task.slot == Slot.INLINE else run_process
            return await execute(self.room, attempt, task, params, reporter)
        except Exception as error:
            log.exception("stage_failed_in_the_worker")
            return Ending.failed("worker_error", f"{type(error).__name__}: {error}")

    async def _inputs(self, attempt: Attempt) -> dict[str, Any]:
        while True:
            try:
                return await stages.inputs(self.room.pool, attempt.claim)
            except Unavailable:
                await asyncio.sleep(PAUSE_S)

    async def _find_resume_point(self, attempt: Attempt) -> None:
        outage = Outage(log, "resume_point_is_waited_for")
        while attempt.claim.resume_from is not None and attempt.stop_reason is None:
            try:
                attempt.claim = replace(attempt.claim, resume_from=await resume_point(self.room, attempt.claim))
                outage.end()
                return
            except Unavailable as error:
                outage.note(error)
                await asyncio.sleep(PAUSE_S)


def _completion(claim: Claim, ending: Ending, reason: Stop | None) -> Completion:
    """What to commit. Whoever asked it to stop, an attempt that completed all the same has completed."""
    if ending.outcome is Outcome.COMPLETED:
        return _complete(claim, Outcome.COMPLETED, result=ending.result)
    match reason:
        case Stop.CANCEL:
            return _complete(claim, Outcome.CANCELLED, error={"code": "cancelled", "message": "It was cancelled."})
        case Stop.DRAIN | Stop.FENCED:
            return drained(claim)
        case Stop.TIMEOUT:
            ending = _timed_out(claim, ending)
        case None if ending.outcome is Outcome.CANCELLED:
            found = ending.error or {}
            how = f" (exit code {found['exit_code']})" if "exit_code" in found else ""
            message = f"It stopped as if it had been asked to{how}, but nobody had."
            ending = Ending(Outcome.FAILED, error={**found, "code": "stopped", "message": message})
    delay_s = next_delay_s(claim.failures + 1, claim, retryable=ending.retryable, jitter=random.random())
    return _complete(claim, ending.outcome, error=ending.error, retry_delay_s=delay_s)


def drained(claim: Claim) -> Completion:
    """It goes on elsewhere, at no cost."""
    error = {"code": "drained", "message": "Its worker stopped it, to be continued on another."}
    return _complete(claim, Outcome.CANCELLED, error=error, retry_delay_s=0, costs_retry=False)


def _timed_out(claim: Claim, ending: Ending) -> Ending:
    limit = "what was left of its total timeout" if claim.is_last else f"its timeout of {claim.timeout_s:g} s"
    code = "total_timeout" if claim.is_last else "timed_out"
    error = {**(ending.error or {}), "code": code, "message": f"It ran longer than {limit}."}
    return Ending(Outcome.TIMED_OUT, error=error, retryable=not claim.is_last)


def _hand_back(claim: Claim) -> Completion:
    """In a rolling deploy this worker may be too old for the task: leave it to another, at no cost."""
    error = {"code": "task_unknown", "message": f"The worker does not know the task {claim.task}."}
    return _complete(claim, Outcome.CANCELLED, error=error, retry_delay_s=UNKNOWN_TASK_DELAY_S, costs_retry=False)


def _complete(claim: Claim, outcome: Outcome, **fields: Any) -> Completion:
    return Completion(claim.stage, claim.attempt, claim.lease_token, outcome, **fields)
