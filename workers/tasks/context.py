"""What a task is given besides its params."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

from workers.training import run

NOBODY = UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class TaskContext:
    """Whose attempt it is, where it may write, and how it says how far it has come.

    A plain ``TaskContext()`` reports to nobody and writes into the working directory: your tests call a task with it.
    """

    pipeline_uuid: UUID = NOBODY
    pipeline_name: str = ""
    stage_name: str = ""
    task_id: UUID = NOBODY
    """The same for every attempt of a stage: let it be the idempotency key of what the task does elsewhere."""
    attempt: int = 1
    """Counted from 1."""
    deadline: float = math.inf
    """Unix time at which the attempt is stopped."""
    resume_from: Path | None = None
    """The newest checkpoint that an earlier attempt reported."""

    @property
    def run_dir(self) -> Path:
        """The directory of this attempt alone. It stays until its pipeline is deleted."""
        return Path.cwd()

    @property
    def checkpoint_dir(self) -> Path:
        """Where checkpoints belong; it need not exist yet."""
        return self.run_dir / "checkpoints"

    def progress(self, step: float, total: float) -> None:
        """Say that ``step`` of ``total`` are done; people see it at most once a second."""
        self.report({"type": "progress", "step": step, "total": total})

    def metrics(self, step: int, **values: float) -> None:
        """Say what was measured after ``step``."""
        self.report({"type": "metrics", "step": step, "values": values})

    def checkpoint(self, path: Path, step: int, **metrics: float) -> None:
        """Say that a file or directory is complete, and what was measured there; after the rename, never before.

        Raises:
            OSError: there is no such file.

        """
        size = run.size_bytes(path)
        self.report({"type": "checkpoint", "path": str(path), "step": step, "metrics": metrics, "bytes": size})

    def should_stop(self) -> bool:
        """Whether to clean up and ``leave``: it was cancelled, is out of time, or its worker leaves."""
        return False

    def leave(self) -> NoReturn:
        """End the attempt without a result, because it ``should_stop``. If that was a drain, it starts again elsewhere.

        Raises:
            SystemExit: always.

        """
        run.leave()

    def report(self, line: dict[str, Any]) -> None:
        """Pass on one line of the run contract; it may be lost, and it never raises."""
