"""What a task is: a name, what goes in, what comes out, and how it runs."""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

from msgspec import Struct

from schemas import limits
from schemas.queue import QUEUES_BY_PRIORITY, Queue, Slot


@dataclass(frozen=True)
class Task:
    """Code that stages can run.

    An inline task (``Slot.INLINE``) is an async function in the worker itself, for light I/O. A process task
    (``Slot.PROCESS``) is a function, or a command line (``argv``), that runs in a supervised process of its own.

    Raises:
        TypeError: it could not run; says what is wrong.

    """

    name: str
    queue: Queue
    slot: Slot
    params: type[Struct]
    result: type[Struct]
    argv: Callable[[Any], list[str]] | None = None
    """The command line for these params."""
    run: Callable[[Any, Any], Any] | None = None
    """Takes a ``TaskContext`` and the params, and returns the result."""
    env: Callable[[Any], dict[str, str]] = lambda _params: {}
    """What these params add to the environment of the process."""
    cwd: Callable[[Any], str | None] = lambda _params: None
    """Where these params want the process to start; None is its run directory."""
    result_of_exit: Callable[[str], dict[str, Any]] | None = None
    """For programs that report no result of their own: what it is, from the end of their log, when they exit with 0."""
    version: str = "1"

    def __post_init__(self) -> None:
        if faults := list(_faults(self)):
            raise TypeError(f"task {self.name!r}: {'; '.join(faults)}")

    def __call__(self, context: Any, params: Any) -> Any:
        """Call the function itself, as a test of it does."""
        if self.run is None:
            raise TypeError(f"task {self.name!r} is a command line, not a function")
        return self.run(context, params)

    def command_line(self, params: Any) -> list[str]:
        """Return how its process is started."""
        if self.argv is not None:
            return self.argv(params)
        assert self.run is not None
        return module_argv("workers.run_task", place_of(self.run))


def module_argv(module: str, *arguments: str) -> list[str]:
    """Return the command line of a program that is a module.

    ``-P`` keeps the run directory, where the process starts, off the import path: a file there must not shadow a
    module. So the module is found where the worker's own interpreter finds it.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def place_of(function: Callable[..., Any]) -> str:
    """Return where a process of its own finds a function: ``module:name``."""
    return f"{function.__module__}:{getattr(function, '__qualname__', '')}"


def _faults(task: Task) -> Iterator[str]:
    if not re.match(limits.TASK_NAME_PATTERN, str(task.name)):
        yield "a name has 1 to 128 letters, digits, '_', '-' or '.', and begins with a letter or '_'"
    if task.queue not in QUEUES_BY_PRIORITY:
        yield f"there is no queue {task.queue!r}, only {', '.join(QUEUES_BY_PRIORITY)}"
    for what, struct in (("params", task.params), ("result", task.result)):
        if not _is_struct(struct):
            yield f"its {what} must be a msgspec Struct, not {_shown(struct)}"
    if task.argv is not None and task.run is not None:
        yield "it has both a function (run) and a command line (argv); give one"
    elif task.argv is None and task.run is None:
        yield "it has neither a function (run) nor a command line (argv)"
    else:
        yield from _slot_faults(task)


def _slot_faults(task: Task) -> Iterator[str]:
    is_async = iscoroutinefunction(task.run)
    if task.slot not in tuple(Slot):
        yield f"there is no slot {task.slot!r}, only {', '.join(Slot)}"
    elif task.slot == Slot.INLINE and not is_async:
        yield "an inline task is an async function (async def)"
    elif task.slot == Slot.PROCESS and is_async:
        yield "a process task is a function without async, or a command line (argv)"


def _is_struct(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Struct)


def _shown(annotation: object) -> str:
    return getattr(annotation, "__name__", None) or repr(annotation)
