"""What follows a commit: dispatch what it queued, and hint that there are events."""

import asyncio

import structlog
from redis.exceptions import RedisError

from app import metrics
from app.api.state import ApiState
from schemas.stage import Transition

log = structlog.get_logger("headway.api")

TIMEOUT_S = 0.25


async def after_commit(state: ApiState, transition: Transition) -> None:
    """Tell Redis, but never let a client wait or fail for it: the scheduler's sweep repeats what is lost here."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await state.queue.dispatch(transition.queued)
            await state.queue.hint(transition.hints)
    except (RedisError, OSError) as error:  # TimeoutError included
        metrics.dispatch_failures.inc()
        log.warning("dispatch_failed", stages=len(transition.queued), error=type(error).__name__)
