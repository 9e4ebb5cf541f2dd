"""A worker that knows one task more: ``block``, an async function that is none, because it never awaits."""

import sys
import time

from app.cli import run
from schemas.queue import Queue, Slot
from schemas.training import NoopParams, NoopResult
from workers.tasks import BUILT_IN
from workers.tasks.task import Task, TaskContext


async def block(_context: TaskContext, params: NoopParams) -> NoopResult:
    """Block the event loop of the whole worker."""
    time.sleep(params.sleep_s)  # noqa: ASYNC251 - that is the fault
    return NoopResult()


if __name__ == "__main__":
    BUILT_IN["block"] = Task("block", Queue.DEFAULT, Slot.INLINE, NoopParams, NoopResult, run=block)
    sys.exit(run(["worker"]))
