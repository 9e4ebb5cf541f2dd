"""``noop``: nothing, for measuring what Headway itself costs and for trying out shapes of pipelines."""

import asyncio

from schemas.queue import Queue, Slot
from schemas.training import NoopParams, NoopResult
from workers.tasks import Task, TaskContext


async def run(_context: TaskContext, params: NoopParams) -> NoopResult:
    """Do nothing, after the pause that was asked for."""
    if params.sleep_s > 0:
        await asyncio.sleep(params.sleep_s)
    return NoopResult()


NOOP = Task(
    name="noop",
    queue=Queue.DEFAULT,
    slot=Slot.INLINE,
    params=NoopParams,
    result=NoopResult,
    run=run,
)
