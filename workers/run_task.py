"""The process of a task that is a function without async: ``python -P -m workers.run_task module:function``.

It knows its environment and its files, like any program under the run contract, and nothing of the service.
"""

import math
import os
import signal
import sys
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

import msgspec

from workers.tasks import Task, TaskContext
from workers.tasks.results import ResultInvalid, as_json
from workers.training import run

_asks_itself = False


@dataclass(frozen=True, kw_only=True)
class ProcessContext(TaskContext):
    """The context of a function that has a process of its own."""

    @property
    def run_dir(self) -> Path:
        """The directory of this attempt, which is also where its process starts."""
        return run.run_dir()

    @property
    def checkpoint_dir(self) -> Path:
        """Where checkpoints belong."""
        return run.checkpoint_dir()

    def should_stop(self) -> bool:
        """Whether SIGTERM has come. From the first time that a function asks, it is left to ``leave`` by itself."""
        global _asks_itself  # noqa: PLW0603 - the signal handler has no other way to know.
        _asks_itself = True
        return run.should_stop()

    def report(self, line: dict[str, Any]) -> None:
        """Write a line for the worker."""
        run.report(line)


def find(place: str) -> Task:
    """Import the task whose function is at ``module:name``.

    Raises:
        ImportError: there is no such module, or no such task in it.

    """
    module, _, name = place.partition(":")
    found = getattr(import_module(module), name, None)
    if not isinstance(found, Task) or found.run is None:
        raise ImportError(f"there is no task {name} at the top level of {module}")
    return found


def run_function(place: str) -> None:
    """Call the function with what the environment says, and report its result."""
    task = find(place)
    params = msgspec.convert(run.params(), task.params, str_keys=True)
    context = _context()
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        result = task(context, params)
    except SystemExit as left:
        if left.code in {None, 0}:
            raise RuntimeError("the function called exit() instead of returning its result") from left
        raise
    try:
        run.result(**as_json(result, task.result))
    except ResultInvalid as invalid:
        run.error(str(invalid), retryable=False, code="result_invalid")
        sys.exit(f"error: {invalid}")


def _context() -> ProcessContext:
    env = os.environ
    return ProcessContext(
        pipeline_uuid=UUID(env.get("HEADWAY_PIPELINE", "0" * 32)),
        pipeline_name=env.get("HEADWAY_PIPELINE_NAME", ""),
        stage_name=env.get("HEADWAY_STAGE", ""),
        task_id=UUID(env.get("HEADWAY_TASK_ID", "0" * 32)),
        attempt=int(env.get("HEADWAY_ATTEMPT", "1")),
        deadline=float(env.get("HEADWAY_DEADLINE", math.inf)),
        resume_from=run.resume_from(),
    )


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    """End the function at the line where it is, as Ctrl-C would, once; ``finally`` and ``with`` can clean up."""
    is_first = not run.should_stop()
    run.request_stop(number, frame)
    if is_first and not _asks_itself:
        run.leave()


if __name__ == "__main__":
    sys.exit(run.main(partial(run_function, sys.argv[1])))
