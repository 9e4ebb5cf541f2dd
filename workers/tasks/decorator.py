"""``@task``: make a task of a function; what goes in and out is read from its annotations."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from msgspec import Struct

from schemas.queue import QUEUES_BY_PRIORITY, Queue, Slot
from workers.tasks.declaration import Task

Function = Callable[[Any, Any], Any]


def task(
    *, queue: Queue | str = Queue.DEFAULT, name: str | None = None, version: str = "1"
) -> Callable[[Function], Task]:
    """Make a task of ``async def f(context: TaskContext, params: Params) -> Result``, or of the same without async.

    An async function runs inline, in the worker itself. A function without async runs in a process of its own. Params
    and Result are msgspec Structs. The name of the task is that of the function, unless another one is given.

    Raises:
        TypeError: the function is not of that form, or the task is at fault (see ``Task``).

    """

    def make(function: Function) -> Task:
        named = str(name or getattr(function, "__name__", ""))
        params, result = _annotated(named, function)
        return Task(
            name=named,
            queue=Queue(queue) if queue in QUEUES_BY_PRIORITY else queue,  # type: ignore[arg-type]  # Task refuses it
            slot=Slot.INLINE if inspect.iscoroutinefunction(function) else Slot.PROCESS,
            params=params,
            result=result,
            run=function,
            version=version,
        )

    return make


def _annotated(name: str, function: Function) -> tuple[type[Struct], type[Struct]]:
    form = f"task {name!r}: it must be a function (context: TaskContext, params: YourParams) -> YourResult"
    if not inspect.isroutine(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(form)
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2 or any(each.kind is not each.POSITIONAL_OR_KEYWORD for each in parameters):  # noqa: PLR2004
        raise TypeError(f"{form}, with these two parameters and no others")
    try:
        hints = get_type_hints(function)
    except Exception as error:
        raise TypeError(f"task {name!r}: its annotations cannot be read: {error}") from error
    for what in (parameters[1].name, "return"):
        if what not in hints:
            raise TypeError(f"{form}, and {what!r} has no annotation")
    return hints[parameters[1].name], hints["return"]
