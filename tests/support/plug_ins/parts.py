"""A task that plugs in and plays its part as it was written: it holds, fails, gives up, or completes."""

import asyncio

from msgspec import Struct

from schemas.training import NoopResult
from workers.tasks import NotRetryable, TaskContext, task


class Part(Struct, forbid_unknown_fields=True):
    """The first ``holds`` attempts last until they are cancelled; up to the ``fails``-th they fail, or give up."""

    holds: int = 0
    fails: int = 0
    is_final: bool = False
    sleep_s: float = 0.0


@task()
async def play_part(context: TaskContext, params: Part) -> NoopResult:
    """Play it."""
    if context.attempt <= params.holds:
        await asyncio.Event().wait()
    await asyncio.sleep(params.sleep_s)
    if context.attempt <= params.fails:
        raise NotRetryable("for good") if params.is_final else RuntimeError("this time")
    return NoopResult()
