"""From how a process ended, and what it said, to the outcome of its attempt."""

import signal
from dataclasses import replace
from typing import Any

from app.core.diagnosis import LOG_BYTES
from schemas.states import Outcome
from workers.contract.reports import ERROR_MESSAGE_CHARS_MAX, TRACEBACK_CHARS_MAX, read_error_file, tail_log
from workers.contract.run import Run
from workers.contract.storable import check_result, clean
from workers.executors.base import Exit
from workers.outcome import Ending

EXIT_RESUMABLE = 85
"""Stopped on request; the checkpoints that were reported are there to resume from."""
SHELL_SIGNAL_BASE = 128
LOG_TAIL_BYTES = 4_096


def conclude(
    run: Run,
    exit_: Exit,
    result_line: dict[str, Any] | None,
    error_line: dict[str, Any] | None,
    *,
    lines_too_long: int = 0,
    oom_kills: int = 0,
) -> Ending:
    """Conclude from an exit and the last ``result`` and ``error`` lines, if any, whether the attempt completed.

    The program's own word comes before the error file, and that before its exit. The error is a JSON object ``{code,
    message, exit_code?, signal?, traceback?, log_tail?}`` with the code ``spawn_failed``, ``task_error``,
    ``exit_nonzero``, ``killed_by_signal``, ``result_invalid`` or ``stopped``.
    """
    if exit_.spawn_error is not None:
        return Ending.failed("spawn_failed", f"The process could not be started: {clean(exit_.spawn_error)}")
    if exit_.exit_code == EXIT_RESUMABLE:
        error = {"code": "stopped", "message": "It stopped on request and can be resumed.", "exit_code": EXIT_RESUMABLE}
        return Ending(Outcome.CANCELLED, error=error)
    if exit_.exit_code != 0 or (error_line and not result_line):
        log = tail_log(run.log, LOG_BYTES)
        return replace(_failed(run, exit_, error_line, log, oom_kills), log=log, oom_kills=oom_kills)
    result = result_line.get("values") if result_line is not None else {}
    if problem := _unread(result_line, lines_too_long) or check_result(result):
        return Ending.failed("result_invalid", problem, retryable=False)
    return Ending(Outcome.COMPLETED, result=result)


def _unread(result_line: dict[str, Any] | None, lines_too_long: int) -> str | None:
    """Say why a result that was meant was not read."""
    if result_line is None and lines_too_long:
        return f"No result was read, but {lines_too_long} lines of its events were too long to be read."
    if result_line is not None and "unreadable" in result_line:
        return f"The result line is not JSON that can be read: {result_line['unreadable']}."
    return None


def _failed(run: Run, exit_: Exit, error_line: dict[str, Any] | None, log: str, oom_kills: int) -> Ending:
    number = _signal(exit_)
    code, message = "exit_nonzero", f"The process exited with code {exit_.exit_code}."
    if number:
        code, message = "killed_by_signal", _killed(exit_, number, oom_kills)
    retryable = True
    more: dict[str, Any] = {}
    if error_line is not None:
        code = "result_invalid" if error_line.get("code") == "result_invalid" else "task_error"
        message = clean(str(error_line.get("message", "")), ERROR_MESSAGE_CHARS_MAX) or message
        retryable = error_line.get("retryable") is not False
        if traceback := clean(str(error_line.get("traceback") or ""), TRACEBACK_CHARS_MAX):
            more = {"traceback": traceback}
    elif left := read_error_file(run.error_file):
        message = left.pop("message")
        more = left
    facts = {"exit_code": exit_.exit_code, "signal": number, "log_tail": _end(log) or None}
    more |= {name: fact for name, fact in facts.items() if fact is not None}
    return Ending.failed(code, message, retryable=retryable, **more)


def _signal(exit_: Exit) -> int | None:
    """The signal that ended it, or that a shell in between tells of by an exit code of 128 + n."""
    if exit_.signal is None and exit_.exit_code is not None:
        number = exit_.exit_code - SHELL_SIGNAL_BASE
        return number if number in signal.valid_signals() else None
    return exit_.signal


def _killed(exit_: Exit, number: int, oom_kills: int) -> str:
    if exit_.explanation:
        return clean(exit_.explanation)
    if number == signal.SIGKILL:
        peak = f"its peak was {exit_.max_rss_bytes / 2**20:,.0f} MiB"
        if oom_kills:
            return f"Killed by SIGKILL while the kernel was killing for want of memory; {peak}."
        return f"Killed from outside by SIGKILL; there is no record of an out-of-memory kill, and {peak}."
    return f"Ended by {signal.strsignal(number)} (signal {number})."


def _end(log: str) -> str:
    return log.encode()[-LOG_TAIL_BYTES:].decode(errors="replace")
