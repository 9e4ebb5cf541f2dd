"""Python runs this when it starts: a process of the campaign that dies at a line of its own, named by ``CRASH_AT``.

``before app.services.stages:claim 3`` is just before the third call of that function.
"""

import inspect
import os
from functools import wraps
from importlib import import_module

EXIT = 86


def _plant(when, place, times):
    module, _, name = place.partition(":")
    owner = import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    function = getattr(owner, last)
    calls = iter(range(1, 1_000_000))

    @wraps(function)
    async def dying(*arguments, **options):
        is_last = next(calls) == times
        if is_last and when == "before":
            os._exit(EXIT)
        answer = await function(*arguments, **options)
        if is_last:
            os._exit(EXIT)
        return answer

    @wraps(function)
    def dying_now(*arguments, **options):
        if next(calls) < times:
            return function(*arguments, **options)
        if when == "after":
            function(*arguments, **options)
        os._exit(EXIT)

    setattr(owner, last, dying if inspect.iscoroutinefunction(function) else dying_now)


if at := os.environ.get("CRASH_AT"):
    _when, _place, _times = at.split()
    _plant(_when, _place, int(_times))
