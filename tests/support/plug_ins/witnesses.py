"""A task that plugs in and leaves word outside of Headway: ``witness``, inline; its result names its attempt."""

import asyncio
import os
import time
from pathlib import Path

from msgspec import Struct

from workers.tasks import TaskContext, task


class Watch(Struct, forbid_unknown_fields=True):
    """What to write into ``log``, and how long to take; the first attempt may block the worker's loop meanwhile."""

    key: str
    log: str
    sleep_s: float = 0.0
    block_s: float = 0.0


class Seen(Struct):
    """By which attempt."""

    by: int


@task()
async def witness(context: TaskContext, params: Watch) -> Seen:
    """Say when it begins and when it ends."""
    _say(context, params, "begin")
    if context.attempt == 1 and params.block_s:
        time.sleep(params.block_s)  # noqa: ASYNC251 - that is the fault
    await asyncio.sleep(params.sleep_s)
    _say(context, params, "end")
    return Seen(context.attempt)


def _say(context: TaskContext, params: Watch, word: str) -> None:
    with Path(params.log).open("a") as log:
        log.write(f"{params.key} {context.stage_name} {context.attempt} {os.getpid()} {word}\n")
