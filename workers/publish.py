"""Publish: the worker's way to the queues and the event streams. Everything said here may be lost."""

import asyncio
import time
from typing import Any
from uuid import UUID

import msgspec
import structlog

from app.queue import REDIS_AWAY, JobQueue
from schemas.event import LiveEvent, LiveType
from schemas.stage import Claim, Transition

HINT_TIMEOUT_S = 0.25
"""Outcomes wait behind hints, and no outcome is to wait for a Redis that hangs."""
LIVE_INTERVAL_S = 1.0
log = structlog.get_logger()


async def publish(queue: JobQueue, transition: Transition) -> None:
    """Dispatch what was queued and tell where there is news; the sweep and polling make up for a loss."""
    try:
        async with asyncio.timeout(HINT_TIMEOUT_S):
            await queue.announce(transition)
    except REDIS_AWAY as error:  # TimeoutError included
        log.warning("hint_lost", error=type(error).__name__)


class LiveReports:
    """Passes on what running stages report, each kind at most once a second per stage: the newest wins."""

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue
        self._waiting: dict[tuple[UUID, LiveType], LiveEvent] = {}
        self._flusher: asyncio.Task[None] | None = None
        self._flushed_at = 0.0

    def put(self, claim: Claim, kind: LiveType, data: dict[str, Any]) -> None:
        """Report on a stage that runs.

        Raises:
            TypeError, ValueError: the data is not JSON.

        """
        msgspec.json.encode(data)  # one report that cannot be told must not take those of others with it
        event = LiveEvent(claim.pipeline, kind, claim.name, {"task_id": claim.stage, "attempt": claim.attempt, **data})
        self._waiting[claim.stage, kind] = event
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        await asyncio.sleep(self._flushed_at + LIVE_INTERVAL_S - time.monotonic())
        events, self._waiting = self._waiting, {}
        self._flushed_at = time.monotonic()
        try:
            await self.queue.tell(events.values())
        except REDIS_AWAY as error:
            log.debug("live_report_lost", error=str(error))
