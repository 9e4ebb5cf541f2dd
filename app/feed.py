"""The events of all pipelines to the clients of this process: one reader for those that are up to date.

Where a client is, its bookmark says, which also explains what a cursor promises (``app/core/bookmark.py``). Delivery
runs ahead of the cursors: a transaction that stays open, be it a stranger's on the same server, holds back the settled
place, but nobody waits for it. The price is paid by a client that resumes meanwhile: it gets events again that it has
had, and knows them by pipeline and number.

A client first reads for itself, the next page when the one before has been sent, until a page is not full. Then it
joins: the next read brings what it or the others lack, and from there on their bookmark is its own. A client without
room leaves with a copy of that bookmark and reads for itself again. So nobody waits for a slow client, and nothing is
read twice for many. Filters are shared too: events are picked once for each different filter, not for each client.

Redis says when to look (``app/broadcast.py``). We look every two seconds anyway, for it may have lost the news.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app import metrics
from app.core.bookmark import Bookmark, common
from app.db.pool import Pool
from app.errors import Unavailable
from app.follower import Audience, Follower, Wanted, encoded
from app.services import events
from schemas.event import LiveEvent, PlacedEvent

log = structlog.get_logger("headway.feed")

EVENTS_PER_READ = 500
READS_AT_ONCE = 2
"""Of clients that read for themselves."""
RETRY_S = 1.0
GATHER_S = 0.01
PAUSE_PER_READ = 2
"""A read that takes long, because an old transaction makes it look at much, is repeated the more seldom."""
REPORTS_EVERY_S = 0.1
REPORTS_MAX = 1_000


class Feed:
    """The shared reader of one process. ``run`` it as a task; ``close`` ends every stream."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._followers: set[Follower] = set()
        self._joining: set[Follower] = set()
        self._together = Audience()
        self._bookmark = Bookmark()
        self._news = asyncio.Event()
        self._reports: deque[tuple[LiveEvent, bytes]] = deque(maxlen=REPORTS_MAX)
        self._reported = asyncio.Event()
        self._reading_alone = asyncio.Semaphore(READS_AT_ONCE)
        self._closed = False

    @contextmanager
    def subscribe(self, bookmark: Bookmark, wanted: Wanted) -> Iterator[Follower]:
        """Follow all pipelines from behind a bookmark, which from now on is the follower's."""
        follower = Follower(bookmark, wanted)
        self._followers.add(follower)
        metrics.sse_clients.inc()
        if self._closed:
            follower.end()
        try:
            yield follower
        finally:
            metrics.sse_clients.dec()
            self._followers.discard(follower)
            self._joining.discard(follower)
            self._together.discard(follower)

    @property
    def is_followed(self) -> bool:
        """Whether live reports reach anybody here."""
        return bool(self._together)

    def look(self) -> None:
        """Read what is new, soon."""
        self._news.set()

    def report(self, live: LiveEvent, data: bytes) -> None:
        """Pass on a live report, encoded already, to those that are up to date; the oldest give way if they pile up."""
        if self.is_followed:
            self._reports.append((live, data))
            self._reported.set()

    def close(self) -> None:
        """End every stream: the clients come back, to another process perhaps."""
        self._closed = True
        for follower in self._followers:
            follower.end()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._pass_on_reports())

    async def take(self, follower: Follower, timeout_s: float) -> bytes | None:
        """As ``Outbox.take``; a client that is not up to date reads for itself first."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while follower.alone and follower.is_empty and not follower.ended and loop.time() < deadline:
            await self._read_alone(follower)
        return await follower.take(deadline - loop.time())

    async def _read_alone(self, follower: Follower) -> None:
        try:
            async with self._reading_alone:
                found, settled = await events.news(self._pool, follower.bookmark, EVENTS_PER_READ)
        except Unavailable as error:
            log.warning("events_not_read", error=error.detail)
            await asyncio.sleep(RETRY_S)
            return
        complete = len(found) < EVENTS_PER_READ
        follower.give(found, settled, complete=complete)
        if complete:
            follower.alone = False
            self._joining.add(follower)
            self.look()

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._news.wait()
            self._news.clear()
            began_at = loop.time()
            try:
                await self._read()
            except Unavailable as error:
                log.warning("events_not_read", error=error.detail)
                self.look()
                await asyncio.sleep(RETRY_S)
            except Exception:
                # What cannot be read must not end this task, and with it the streams of single pipelines.
                log.exception("events_not_readable")
                for follower in self._followers:
                    follower.end()
            await asyncio.sleep(max(GATHER_S, PAUSE_PER_READ * (loop.time() - began_at)))

    async def _read(self) -> None:
        """Give everybody what is new, in one query."""
        joining = list(self._joining)
        bookmarks = [follower.bookmark for follower in joining] + ([self._bookmark] if self._together else [])
        if not bookmarks:
            return
        found, settled = await events.news(self._pool, common(bookmarks), EVENTS_PER_READ)
        complete = len(found) < EVENTS_PER_READ
        if self._together:
            self._give(found, settled, complete=complete)
        for follower in self._joining.intersection(joining):
            follower.give(found, settled, complete=complete)
            if complete:
                self._join(follower)
        if not complete:
            self.look()

    def _give(self, found: list[PlacedEvent], settled: int, *, complete: bool) -> None:
        lacking = [event for event in found if self._bookmark.lacks(event)]
        for follower in self._together.put(encoded(lacking, settled)):
            follower.bookmark = self._bookmark.copy()
            follower.alone = True
            self._together.discard(follower)
        self._bookmark.advance(found, settled, complete=complete)

    def _join(self, follower: Follower) -> None:
        """Both have had everything now, so it makes no difference whose bookmark it is."""
        self._joining.discard(follower)
        if not self._together:
            self._bookmark = follower.bookmark
        follower.bookmark = self._bookmark
        self._together.add(follower)

    async def _pass_on_reports(self) -> None:
        while True:
            await self._reported.wait()
            await asyncio.sleep(REPORTS_EVERY_S)
            self._reported.clear()
            reports = list(self._reports)
            self._reports.clear()
            try:
                await self._pass_on(reports)
            except Unavailable as error:
                log.warning("reports_lost", error=error.detail)

    async def _pass_on(self, reports: list[tuple[LiveEvent, bytes]]) -> None:
        pipelines = {live.pipeline for live, _ in reports}
        known = await events.traits(self._pool, list(pipelines)) if self._together.asks_for_traits else {}
        self._together.put([(live.type, known.get(live.pipeline), data) for live, data in reports])
