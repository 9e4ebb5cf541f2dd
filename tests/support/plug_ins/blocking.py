"""A task that plugs in: ``block``, an async function that is none, because it never awaits."""

import time

from schemas.training import NoopParams, NoopResult
from workers.tasks import TaskContext, task


@task()
async def block(_context: TaskContext, params: NoopParams) -> NoopResult:
    """Block the event loop of the whole worker."""
    time.sleep(params.sleep_s)  # noqa: ASYNC251 - that is the fault
    return NoopResult()
