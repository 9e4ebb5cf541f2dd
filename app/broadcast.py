"""Events from Postgres and Redis to the clients of this process: one reader, many streams.

Postgres is the truth. A client's place is the sequence number of the last event that it was given, and the only way
to move it is to read what follows that number. So a first connection, a resume, a wake-up, a slow client and a lost
hint are all the same act, ``look``, and no seam between replay and live exists where an event could fall or double.

Redis only says when to look. One XREAD follows two streams: hints, which mean "this pipeline has news", and live
reports of running stages, which are passed on as they are and may be lost. While Redis is silent, every watched
pipeline is looked at each ``POLL_S``; while it answers, in turn and slowly, which finds what a lost hint left behind.

Nobody waits for a slow client: it is passed over while it has no room, and is read for again, from its own place, once
it has taken what waited for it.

The stream of all pipelines, ``feed``, hears from here when to look and what is live, and does the rest by itself.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from arq.connections import ArqRedis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app import metrics
from app.db.pool import Pool
from app.errors import NotFound, Unavailable
from app.feed import Feed
from app.queue import REDIS_AWAY
from app.services import events
from app.subscription import Subscription, frame, live_frame
from schemas.event import LiveEvent

log = structlog.get_logger("headway.broadcast")

EVENTS_PER_READ = 200
READS_AT_ONCE = 4
ENTRIES_PER_READ = 1_000
BLOCK_S = 1.0
POLL_S = 2.0
POLL_TURNS = 8
"""While Redis answers, a pipeline's turn comes every so many polls."""
RETRY_S = 1.0
GATHER_S = 0.01
"""Between two reads of a pipeline, so that in a busy one a single query brings what several hints told of."""
RECONNECT_MIN_S = 0.05
RECONNECT_MAX_S = 2.0


class Broadcaster:
    """The reader of one process. ``run`` it as a task; ``close`` ends every stream."""

    def __init__(self, pool: Pool, redis: ArqRedis, prefix: str) -> None:
        self._pool = pool
        self._redis = redis
        redis.set_retry(Retry(NoBackoff(), 0))  # a lost connection must be seen: hints were lost with it
        self._hints, self._live = f"{prefix}:events".encode(), f"{prefix}:live".encode()
        self._subscriptions: dict[UUID, set[Subscription]] = {}
        self._to_read: asyncio.Queue[UUID] = asyncio.Queue()
        self._asked: set[UUID] = set()
        self._read_at: dict[UUID, float] = {}
        self._heard_at = 0.0
        self._closed = False
        self.feed = Feed(pool)

    @contextmanager
    def subscribe(self, pipeline: UUID, after: int) -> Iterator[Subscription]:
        """Watch a pipeline from behind its event ``after``."""
        subscription = Subscription(pipeline, after)
        self._subscriptions.setdefault(pipeline, set()).add(subscription)
        metrics.sse_clients.inc()
        if self._closed:
            subscription.end()
        self.look([pipeline])
        try:
            yield subscription
        finally:
            metrics.sse_clients.dec()
            watching = self._subscriptions[pipeline]
            watching.discard(subscription)
            if not watching:
                del self._subscriptions[pipeline]
                self._read_at.pop(pipeline, None)

    def look(self, pipelines: Iterable[UUID]) -> None:
        """Read these pipelines' events soon, as far as somebody watches them."""
        loop = asyncio.get_running_loop()
        for pipeline in pipelines:
            if pipeline in self._subscriptions and pipeline not in self._asked:
                self._asked.add(pipeline)
                due_at = self._read_at.get(pipeline, 0.0) + GATHER_S
                loop.call_at(due_at, self._to_read.put_nowait, pipeline)

    def close(self) -> None:
        """End every stream without its ``end`` event: the clients come back, to another process perhaps."""
        self._closed = True
        self.feed.close()
        for pipeline in self._subscriptions:
            self._end(pipeline)

    def _end(self, pipeline: UUID) -> None:
        for client in self._subscriptions.get(pipeline, ()):
            client.end()

    async def run(self) -> None:
        """Work until cancelled; nothing but a bug ends it otherwise, and then the streams end with it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(READS_AT_ONCE):
                    tasks.create_task(self._read_what_is_asked())
                tasks.create_task(self._follow_redis())
                tasks.create_task(self._poll())
                tasks.create_task(self.feed.run())
        except* Exception:
            log.exception("broadcaster_broke")
            raise
        finally:
            self.close()

    async def take(self, subscription: Subscription, timeout_s: float) -> bytes | None:
        """As ``Subscription.take``; a client that had been passed over is read for again."""
        frames = await subscription.take(timeout_s)
        if subscription.behind:
            subscription.behind = False
            self.look([subscription.pipeline])
        return frames

    async def _read_what_is_asked(self) -> None:
        while True:
            pipeline = await self._to_read.get()
            self._asked.discard(pipeline)
            try:
                await self._read(pipeline)
            except Unavailable as error:
                log.warning("events_not_read", error=error.detail)
                self.look([pipeline])
                await asyncio.sleep(RETRY_S)
            except Exception:
                # What is wrong with one pipeline must not end the streams of all.
                log.exception("events_not_readable", pipeline=str(pipeline))
                self._end(pipeline)

    async def _read(self, pipeline: UUID) -> None:
        """Give every client of a pipeline what follows its place; one query for all of them."""
        clients = self._clients_with_room(pipeline)
        if not clients:
            return
        self._read_at[pipeline] = asyncio.get_running_loop().time()
        after = min(client.seq for client in clients)
        try:
            found, complete = await events.read(self._pool, pipeline, after, EVENTS_PER_READ)
        except NotFound:  # it was deleted
            self._end(pipeline)
            return
        frames = [(int(event.id or 0), frame(event, event.id)) for event in found]
        for client in clients:
            client.give(frames, complete=complete)
        if len(found) == EVENTS_PER_READ:  # there is more already, so nothing to gather
            self._read_at.pop(pipeline, None)
            self.look([pipeline])

    def _clients_with_room(self, pipeline: UUID) -> list[Subscription]:
        watching = self._subscriptions.get(pipeline, set())
        for client in watching:
            client.behind = client.behind or not client.has_room
        return [client for client in watching if client.has_room]

    async def _poll(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(POLL_S)
            turn = (turn + 1) % POLL_TURNS
            self.feed.look()
            redis_is_silent = asyncio.get_running_loop().time() - self._heard_at > POLL_S
            self.look([p for p in self._subscriptions if redis_is_silent or p.int % POLL_TURNS == turn])

    async def _follow_redis(self) -> None:
        pause_s = RECONNECT_MIN_S
        while True:
            connected_at = asyncio.get_running_loop().time()
            try:
                await self._follow_connection()
            except REDIS_AWAY as error:
                if self._heard_at > connected_at:
                    log.warning("redis_lost", error=type(error).__name__)
                    pause_s = RECONNECT_MIN_S
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RECONNECT_MAX_S)

    async def _follow_connection(self) -> None:
        """Follow both streams from their ends until the connection breaks."""
        async with asyncio.timeout(BLOCK_S + 2):
            places: dict[Any, Any] = {stream: await self._last_id(stream) for stream in (self._hints, self._live)}
        self.look(self._subscriptions)  # for what was said while nobody listened
        self.feed.look()
        while True:
            async with asyncio.timeout(BLOCK_S + 2):
                found = await self._redis.xread(places, count=ENTRIES_PER_READ, block=int(BLOCK_S * 1000))
            self._heard_at = asyncio.get_running_loop().time()
            for stream, entries in found:
                places[stream] = entries[-1][0]
                for entry_id, fields in entries:
                    self._hear(stream, entry_id, fields)

    async def _last_id(self, stream: bytes) -> bytes:
        newest = await self._redis.xrevrange(stream, count=1)
        return newest[0][0] if newest else b"0-0"

    def _hear(self, stream: bytes, entry_id: bytes, fields: Mapping[bytes, bytes]) -> None:
        try:
            if stream == self._hints:
                self.look([UUID(fields[b"p"].decode())])
                self.feed.look()
            else:
                self._pass_on(entry_id, msgspec.json.decode(fields[b"e"], type=LiveEvent))
        except (KeyError, ValueError, msgspec.DecodeError) as error:
            log.warning("entry_not_read", stream=stream.decode(), error=str(error))

    def _pass_on(self, entry_id: bytes, live: LiveEvent) -> None:
        watching = self._subscriptions.get(live.pipeline, set())
        if watching or self.feed.is_followed:
            data = live_frame(live, datetime.fromtimestamp(int(entry_id.partition(b"-")[0]) / 1000, UTC))
            self.feed.report(live, data)
            for client in watching:
                if client.has_room:
                    client.put(data)
