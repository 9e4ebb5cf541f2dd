"""Exit codes, and how an error is told to the person at the terminal."""

import sys

from app.commands.terminal import clean
from app.errors import HeadwayError, SetupError
from schemas.states import PipelineStatus, StageStatus

COMPLETED = 0
FAILED = 1
USAGE = 2
CANCELLED = 3
AUTH = 4
NOT_FOUND = 5
UNREACHABLE = 6
TIMED_OUT = 124
DETACHED = 130

_BY_STATUS = {400: USAGE, 401: AUTH, 403: AUTH, 404: NOT_FOUND, 413: USAGE, 422: USAGE, 503: UNREACHABLE}
_BY_END = {"completed": COMPLETED, "failed": FAILED, "cancelled": CANCELLED}


def of_end(status: PipelineStatus | StageStatus) -> int:
    """Return what the end of a pipeline or a task means to a shell; a task that was skipped did not complete."""
    return _BY_END.get(status, FAILED)


def explain(error: HeadwayError) -> int:
    """Say what is wrong, every fault with its place, and return the exit code."""
    lines = [error.detail]
    lines += [f"  {fault.pointer or '(request)'}: {fault.detail}" for fault in error.faults]
    return say("\n".join(lines), USAGE if isinstance(error, SetupError) else _BY_STATUS.get(error.status, FAILED))


def say(message: str, code: int) -> int:
    """Print an error message to stderr and return ``code``."""
    print(f"headway: {clean(message)}", file=sys.stderr)  # noqa: T201 - this is how the command line speaks
    return code
