"""Dispatch again: what Redis should hold is derived from Postgres, all of it after a loss, else page by page."""

import structlog

from app.db.pool import Pool
from app.queue import JobQueue
from app.services import stages

PAGE = 1_000
MIN_AGE_S = 2.0
"""Younger stages are on their way from whoever queued them."""
log = structlog.get_logger()


class Dispatcher:
    """Walks through the queued stages for ever, oldest first, and makes sure that each is on its queue."""

    def __init__(self, pool: Pool, queue: JobQueue) -> None:
        self.pool = pool
        self.queue = queue
        self._after = stages.FIRST

    async def run_once(self) -> int:
        """Repair one page, or everything if Redis has lost everything; return how many jobs were missing."""
        await self.queue.put_back_stale()
        if await self.queue.is_complete():
            return await self._page(MIN_AGE_S)
        log.info("redis_is_new", doing="dispatch all queued stages")
        self._after = stages.FIRST
        added = await self._page(0)
        while self._after != stages.FIRST:
            added += await self._page(0)
        await self.queue.mark_complete()
        return added

    async def _page(self, min_age_s: float) -> int:
        page = await stages.queued_after(self.pool, self._after, min_age_s=min_age_s, limit=PAGE)
        self._after = (page[-1].queued_at, page[-1].stage) if len(page) == PAGE else stages.FIRST
        return await self.queue.dispatch(page)
