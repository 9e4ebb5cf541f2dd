"""Run contract v1 from the training process's side: the one file that a script imports to speak with Headway.

It needs the standard library only, so it may also be copied beside a script. Everything travels as JSON Lines in the
file that ``HEADWAY_EVENTS`` names: one line, one ``write``, so several processes may share it. Without Headway the
lines go to standard output and the script runs as it is.

Reporting never disturbs the training: what cannot be written is said on standard error and is lost. Only ``result``
raises, because a stage without its result must not look completed.
"""

import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

EXIT_STOPPED = 85
"""Stopped on request; the checkpoints that were reported are there to resume from."""
TRACEBACK_CHARS_MAX = 16_000
"""The end of it, which tells most."""

_stop_requested = False


class NotRetryable(Exception):
    """What is wrong no retry heals; the message tells the user, in one line, what to change."""


def params() -> dict[str, Any]:
    """Return the stage's params, references resolved; empty without Headway."""
    path = os.environ.get("HEADWAY_PARAMS")
    return json.loads(Path(path).read_bytes()) if path else {}


def run_dir() -> Path:
    """Return the directory of this attempt, where everything it makes belongs."""
    return Path(os.environ.get("HEADWAY_RUN_DIR") or ".").absolute()


def checkpoint_dir() -> Path:
    """Return the directory for checkpoints; it need not exist yet."""
    return Path(os.environ.get("HEADWAY_CHECKPOINT_DIR") or run_dir() / "checkpoints").absolute()


def resume_from() -> Path | None:
    """Return the checkpoint that an earlier attempt left, or None for a fresh start."""
    path = os.environ.get("HEADWAY_RESUME_FROM")
    return Path(path) if path else None


def progress(*, step: int, total: int, epoch: int | None = None, eta_s: float | None = None) -> None:
    """Report that ``step`` of ``total`` steps are done."""
    known = {name: value for name, value in (("epoch", epoch), ("eta_s", eta_s)) if value is not None}
    with _harmless("progress"):
        _write("progress", step=step, total=total, **known)


def metrics(step: int, **values: float) -> None:
    """Report what was measured after ``step``."""
    with _harmless("metrics"):
        _write("metrics", step=step, values=values)


def phase(name: str) -> None:
    """Report what begins now, such as ``data``, ``train`` or ``save``."""
    with _harmless("phase"):
        _write("phase", name=name)


def checkpoint(path: Path, step: int, metrics: dict[str, float]) -> None:
    """Report a complete file or directory, and what the model scored there; after the rename, never before."""
    with _harmless("checkpoint"):
        _write("checkpoint", path=str(path), step=step, metrics=metrics, bytes=size_bytes(path))


def invalid_checkpoint(path: Path, reason: str) -> None:
    """Report that a checkpoint of an earlier attempt cannot be used, so that nobody resumes from it again."""
    with _harmless("checkpoint"):
        _write("checkpoint", path=str(path), state="invalid", reason=reason)


def error(message: str, *, retryable: bool, **more: str) -> None:
    """Report why the program is about to fail, and whether another attempt could do better.

    ``more`` may be a ``traceback``, or the ``code`` ``result_invalid``.
    """
    with _harmless("error"):
        _write("error", message=message, retryable=retryable, **more)


def report(line: dict[str, Any]) -> None:
    """Report any line of the run contract, such as ``{"type": "phase", "name": "train"}``."""
    fields = dict(line)
    kind = str(fields.pop("type", ""))
    with _harmless(kind):
        _write(kind, **fields)


def result(**values: Any) -> None:
    """Set the stage's result; the last call counts.

    Raises:
        OSError: it could not be written, for example to a full disk.

    """
    _write("result", values=values)


def catch_sigterm() -> None:
    """From now on SIGTERM, however often it comes, only makes ``should_stop`` true."""
    signal.signal(signal.SIGTERM, request_stop)


def request_stop(_signal: int, _frame: FrameType | None) -> None:
    """Make ``should_stop`` true; a handler of signals."""
    global _stop_requested  # noqa: PLW0603 - a signal handler has nowhere else to leave word.
    _stop_requested = True


def should_stop() -> bool:
    """Tell whether to write a checkpoint and ``leave``; cheap enough to ask after every batch."""
    return _stop_requested


def leave() -> NoReturn:
    """Exit as a program that was asked to stop and can be resumed."""
    raise SystemExit(EXIT_STOPPED)


def wait(seconds: float) -> None:
    """Sleep, but no longer than until a stop is requested."""
    end = time.monotonic() + seconds
    while not should_stop() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.05))


def main(program: Callable[[], None]) -> int:
    """Run ``program`` and return its exit code; if it fails, report why."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        program()
    except NotRetryable as refusal:
        message = " ".join(str(refusal).split())
        sys.stderr.write(f"error: {message}\n")
        error(message, retryable=False)
        return 1
    except Exception as failure:
        text = "".join(traceback.format_exception(failure))
        error(f"{type(failure).__name__}: {failure}", retryable=True, traceback=text[-TRACEBACK_CHARS_MAX:])
        raise
    return 0


@contextmanager
def _harmless(kind: str) -> Iterator[None]:
    try:
        yield
    except (OSError, TypeError, ValueError) as failure:
        sys.stderr.write(f"a {kind} report is lost: {failure}\n")


def size_bytes(path: Path) -> int:
    """Return the size of a file, or of all that is in a directory."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if not file.is_dir())


def _write(kind: str, **fields: Any) -> None:
    line = f"{json.dumps({'type': kind, **fields})}\n".encode()
    path = os.environ.get("HEADWAY_EVENTS")
    if not path:
        sys.stdout.write(line.decode())
        return
    events = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if os.write(events, line) < len(line):
            raise OSError("the disk took only a part of the line")
    finally:
        os.close(events)
