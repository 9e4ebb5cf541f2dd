"""What follows a commit: dispatch what it queued, and hint that there are events."""

import asyncio
from uuid import UUID

import structlog

from app import metrics
from app.api.state import ApiState
from app.queue import REDIS_AWAY
from app.services.pruning import remove_artifacts
from schemas.stage import Transition

log = structlog.get_logger("headway.api")

TIMEOUT_S = 0.25


async def after_commit(state: ApiState, transition: Transition, *, cancelling: bool = False) -> None:
    """Tell Redis, but never let a client wait or fail for it: the scheduler's sweep repeats what is lost here.

    ``cancelling`` also calls the workers, which otherwise learn of a cancel at their next beat.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await state.queue.announce(transition)
            if cancelling:
                await state.queue.call_for_beats()
    except REDIS_AWAY as error:  # TimeoutError included
        metrics.dispatch_failures.inc()
        log.warning("dispatch_failed", stages=len(transition.queued), error=type(error).__name__)


async def after_delete(state: ApiState, pipeline: UUID) -> None:
    """End the streams of a pipeline that is deleted, and remove its artifacts. Raises OSError when those resist."""
    state.broadcaster.look([pipeline])
    await remove_artifacts(state.pool, state.settings.data_dir, pipeline)
