"""Users' own tasks: found by the entry points of installed packages and by ``HEADWAY_TASK_MODULES``.

All of them plug in, or the worker does not start: with half of its tasks it would leave stages waiting for ever, and
nobody would know why.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from app.core.params import schema_problem
from app.errors import SetupError
from schemas.task import TaskType
from workers.run_task import find
from workers.tasks import Task
from workers.tasks.built_in import BUILT_IN
from workers.tasks.declaration import place_of
from workers.tasks.registration import task_type

GROUP = "headway.tasks"
REFUSAL = "These plug-ins cannot be used, and a worker starts with all of its tasks or not at all:"
OWN_FILES = str(Path(__file__).parent / "tasks")


@dataclass(frozen=True)
class PlugIn:
    """Something that has tasks once it is loaded; ``name`` says to people where it comes from."""

    name: str
    load: Callable[[], object]


class Fault(Exception):
    """What is wrong with a plug-in, and what to do about it."""


def known_tasks(task_modules: str) -> dict[str, Task]:
    """Return the built-in tasks and all that plug in, by name.

    Raises:
        SetupError: some cannot be used; names each of them with its cause.

    """
    known, origin, faults = dict(BUILT_IN), dict.fromkeys(BUILT_IN, "Headway itself"), []
    for plug_in in [*_entry_points(), *_modules(task_modules)]:
        try:
            tasks = _loaded(plug_in)
        except Fault as fault:
            faults.append(f"  {plug_in.name}: {fault}.")
            continue
        for task in tasks:
            if known.setdefault(task.name, task) is not task:
                taken = f"{origin[task.name]} has a task {task.name!r} already; choose another name"
                faults.append(f"  {plug_in.name}: {taken}.")
            origin.setdefault(task.name, plug_in.name)
    if faults:
        raise SetupError("\n".join([REFUSAL, *faults]))
    return known


def _entry_points() -> Iterator[PlugIn]:
    for point in sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
        yield PlugIn(f"entry point {point.name} = {point.value}{_package(point)}", point.load)


def _package(point: EntryPoint) -> str:
    return f" of {point.dist.name} {point.dist.version}" if point.dist else ""


def _modules(setting: str) -> Iterator[PlugIn]:
    for name in filter(None, map(str.strip, setting.split(","))):
        yield PlugIn(f"HEADWAY_TASK_MODULES: {name}", partial(import_module, name))


def _loaded(plug_in: PlugIn) -> list[Task]:
    """Load a plug-in and check its tasks.

    Raises:
        Fault: it cannot be loaded, has no task, or one that could not run.

    """
    try:
        tasks = _tasks(plug_in.load())
    except (Exception, SystemExit) as error:  # whatever a user's module raises when it is imported
        raise Fault(_cause(error)) from error
    if not tasks:
        raise Fault("there is no task in it; make one with @task from workers.tasks, at the top level of the module")
    for task in tasks:
        if BUILT_IN.get(task.name) is not task:
            _check(task)
    return tasks


def _tasks(loaded: Any) -> list[Task]:
    match loaded:
        case Task():
            return [loaded]
        case ModuleType():
            return [value for value in vars(loaded).values() if isinstance(value, Task)]
        case Iterable():
            found = list(loaded)
            if all(isinstance(each, Task) for each in found):
                return found
    raise TypeError(f"it is of type {type(loaded).__name__}, not a Task, a module, or an iterable of Tasks")


def _check(task: Task) -> None:
    """Check what shows only now: that its process will find it, and that the API can check params for it."""
    if task.argv is None and task.slot == "process":
        _check_place(task)
    try:
        described: TaskType = task_type(task)
        msgspec.json.encode(described)
    except (TypeError, ValueError, RecursionError) as error:
        raise Fault(
            f"task {task.name!r}: its params or result have no JSON Schema: {' '.join(str(error).split())}"
        ) from error
    for what, schema in (("params", described.params_schema), ("result", described.result_schema)):
        if schema.get("type") != "object":
            raise Fault(f"task {task.name!r}: its {what} must be a JSON object, so no array_like Struct")
        if problem := schema_problem(schema):
            raise Fault(f"task {task.name!r}: the JSON Schema of its {what} cannot be used: {problem}")


def _check_place(task: Task) -> None:
    assert task.run is not None
    place = place_of(task.run)
    try:
        found = find(place)
    except ImportError:
        found = None
    if found is not task:
        raise Fault(
            f"task {task.name!r}: its process would not find it as {place}; decorate a function at the top level"
        )


def _cause(error: BaseException) -> str:
    """Say why loading failed, where, and what to do."""
    said = f"{type(error).__name__}: {error}{_where(error)}"
    if isinstance(error, ModuleNotFoundError):
        return f"{said}; install it beside Headway, or put its folder on PYTHONPATH"
    return said


def _where(error: BaseException) -> str:
    """The user's own line that raised it; a SyntaxError says it itself."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(("<", OWN_FILES, __file__))]
    own = [frame for frame in own if "importlib" not in frame.filename]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own and not isinstance(error, SyntaxError) else ""
