"""Exit codes, and how an error is told to the person at the terminal."""

import sys

from app.commands.plain import plain
from app.errors import HeadwayError, SetupError
from schemas.states import PipelineStatus

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
_BY_PIPELINE = {
    PipelineStatus.COMPLETED: COMPLETED,
    PipelineStatus.FAILED: FAILED,
    PipelineStatus.CANCELLED: CANCELLED,
}


def of_pipeline(status: PipelineStatus) -> int:
    """Return what the end of a pipeline means to a shell."""
    return _BY_PIPELINE[status]


def explain(error: HeadwayError) -> int:
    """Say what is wrong, every fault with its place, and return the exit code."""
    lines = [error.detail]
    lines += [f"  {fault.pointer or '(request)'}: {fault.detail}" for fault in error.faults]
    return say("\n".join(lines), USAGE if isinstance(error, SetupError) else _BY_STATUS.get(error.status, FAILED))


def say(message: str, code: int) -> int:
    """Print an error message to stderr and return ``code``."""
    print(f"headway: {plain(message)}", file=sys.stderr)  # noqa: T201 - this is how the command line speaks
    return code
