"""What every executor is given and gives back."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Launch:
    """One process to be started.

    ``env`` is its complete environment. Its output goes to ``log_path``: the first ``log_bytes_max`` bytes as they
    come and, when it printed more, the last 64 KiB at its end, behind a line that says how many bytes are left out.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: Path
    log_path: Path
    log_bytes_max: int


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: with an ``exit_code``, by a ``signal``, or, with a ``spawn_error``, never started.

    ``seconds`` run from the start to the end of its last descendant; memory (the largest process) and processor time
    include the descendants that were waited for; ``log_bytes`` is all that was printed. ``killed`` says that SIGKILL
    was needed, for the process or for what it left behind. ``explanation`` is set when a ``signal`` is our inference.
    """

    exit_code: int | None = None
    signal: int | None = None
    seconds: float = 0.0
    max_rss_bytes: int = 0
    cpu_s: float = 0.0
    log_bytes: int = 0
    killed: bool = False
    spawn_error: str | None = None
    explanation: str | None = None
