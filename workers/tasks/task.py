"""What a task is: a name, what goes in, what comes out, and how it runs."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from app.db.pool import Pool
from schemas.queue import Queue, Slot
from schemas.task import TaskType


@dataclass(frozen=True)
class TaskContext:
    """What an inline task is given besides its params."""

    stage_uuid: UUID
    pipeline_uuid: UUID
    pipeline_name: str
    stage_name: str
    attempt: int
    report: Callable[[dict[str, Any]], None]
    """Takes one event of the run contract, such as ``{"type": "progress", "step": 1, "total": 2}``."""
    pool: Pool
    data_dir: Path


@dataclass(frozen=True)
class Task:
    """Code that stages can run: a process (``argv``) or, for light I/O only, an async function (``run``)."""

    name: str
    queue: Queue
    slot: Slot
    params: type[Struct]
    result: type[Struct]
    argv: Callable[[Any], list[str]] | None = None
    """The command line for these params."""
    run: Callable[[TaskContext, Any], Awaitable[Struct | dict[str, Any]]] | None = None
    env: Callable[[Any], dict[str, str]] = lambda _params: {}
    """What these params add to the environment of the process."""
    cwd: Callable[[Any], str | None] = lambda _params: None
    """Where these params want the process to start; None is its run directory."""
    result_of_exit: Callable[[str], dict[str, Any]] | None = None
    """For programs that report no result of their own: what it is, from the end of their log, when they exit with 0."""
    version: str = "1"


def reference_argv(module: str) -> list[str]:
    """Return the command line of a reference program.

    ``-P`` keeps the run directory, where the process starts, off the import path: a file there must not shadow a
    module. So ``workers`` is found where the worker's own interpreter has it installed.
    """
    return [sys.executable, "-P", "-m", module]


def task_type(task: Task) -> TaskType:
    """Return what a worker registers about a task."""
    return TaskType(
        name=task.name,
        queue=task.queue,
        slot=task.slot,
        version=task.version,
        params_schema=_json_schema(task.params),
        result_schema=_json_schema(task.result),
    )


def _json_schema(struct: type[Struct]) -> dict[str, Any]:
    """Return a JSON Schema whose root is the object itself, for readers that follow no references."""
    _, definitions = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    root = definitions.pop(struct.__name__)
    return {**root, "$defs": definitions} if definitions else root
