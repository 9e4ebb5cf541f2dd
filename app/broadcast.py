"""Events from Postgres and Redis to the clients of this process: one reader, many streams.

Postgres is the truth. A client's place is the sequence number of the last event that it was given, and the only way
to move it is to read what follows that number. So a first connection, a resume, a wake-up, a slow client and a lost
hint are all the same act, ``look``, and no seam between replay and live exists where an event could fall or double.

Redis only says when to look. One XREAD follows two streams: hints, which mean "this pipeline has news", and live reports
of running stages, which are passed on as they are and may be lost. While Redis is away, every watched pipeline is
looked at each ``POLL_S``; while it answers, in turn and slowly, which finds what a lost hint left behind.

Nobody waits for a slow client: it has room for ``FRAMES_MAX`` frames, is passed over while it has none, and is read for
again, from its own place, once it has taken them.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from arq.connections import ArqRedis

from app import metrics
from app.db.pool import Pool
from app.errors import HeadwayError, NotFound, Unavailable
from app.queue import REDIS_AWAY
from app.services import events
from schemas.event import Event, LiveEvent

log = structlog.get_logger("headway.broadcast")

FRAMES_MAX = 200
EVENTS_PER_READ = 200
READS_AT_ONCE = 4
POLL_S = 2.0
POLL_TURNS = 8
"""While Redis answers, a pipeline's turn comes every so many polls."""
BLOCK_MS = 2_000
RECONNECT_MAX_S = 2.0


class Subscription:
    """One client: its place in a pipeline's events, and the frames that it has not taken yet."""

    def __init__(self, pipeline: UUID, after: int) -> None:
        self.pipeline = pipeline
        self.seq = after
        self.ended = False
        self.behind = False
        self._frames: deque[bytes] = deque()
        self._changed = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether one more frame may wait for this client."""
        return not self.ended and len(self._frames) < FRAMES_MAX

    def put(self, frame: bytes) -> None:
        """Let a frame wait for the client."""
        self._frames.append(frame)
        self._changed.set()

    def end(self) -> None:
        """Nothing follows what already waits."""
        self.ended = True
        self._changed.set()

    async def take(self, timeout_s: float) -> bytes | None:
        """All frames that wait, joined; nothing (``b""``) when none came within ``timeout_s``, None after the last."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return b""
        self._changed.clear()
        frames = b"".join(self._frames)
        self._frames.clear()
        if self.ended:
            self._changed.set()
        return frames or (None if self.ended else b"")


class Broadcaster:
    """The reader of one process. ``run`` it as a task; ``close`` ends every stream."""

    def __init__(self, pool: Pool, redis: ArqRedis, prefix: str) -> None:
        self._pool = pool
        self._redis = redis
        self._hints, self._live = f"{prefix}:events".encode(), f"{prefix}:live".encode()
        self._subscriptions: dict[UUID, set[Subscription]] = {}
        self._to_read: set[UUID] = set()
        self._asked = asyncio.Event()
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._hears_redis = False
        self._closed = False

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

    def look(self, pipelines: Iterable[UUID]) -> None:
        """Read these pipelines' events soon, as far as somebody watches them."""
        self._to_read.update(pipeline for pipeline in pipelines if pipeline in self._subscriptions)
        if self._to_read:
            self._asked.set()

    def close(self) -> None:
        """End every stream without its ``end`` event: the clients come back, to another process perhaps."""
        self._closed = True
        for watching in self._subscriptions.values():
            for subscription in watching:
                subscription.end()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_what_is_asked())
            tasks.create_task(self._follow_redis())
            tasks.create_task(self._poll())

    async def _read_what_is_asked(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            pipelines, self._to_read = self._to_read, set()
            read = await asyncio.gather(*(self._read(pipeline) for pipeline in pipelines))
            if not all(read):
                await asyncio.sleep(POLL_S / 2)  # Postgres is away; those pipelines have been asked for again

    async def _read(self, pipeline: UUID) -> bool:
        """Give every client of a pipeline what follows its place; one query for all of them."""
        async with self._reads:
            clients = [s for s in self._subscriptions.get(pipeline, ()) if s.has_room]
            if not clients:
                return True
            try:
                after = min(client.seq for client in clients)
                found, complete = await events.read(self._pool, pipeline, after, EVENTS_PER_READ)
            except NotFound:
                found, complete = [], False
                for client in clients:
                    client.end()
            except Unavailable:
                self.look([pipeline])
                return False
        self._give(clients, [(int(event.id or 0), frame(event)) for event in found], complete=complete)
        if len(found) == EVENTS_PER_READ and not complete:
            self.look([pipeline])
        return True

    @staticmethod
    def _give(clients: list[Subscription], frames: list[tuple[int, bytes]], *, complete: bool) -> None:
        for client in clients:
            for seq, data in frames:
                if seq <= client.seq:
                    continue
                if not client.has_room:
                    client.behind = True
                    break
                client.put(data)
                client.seq = seq
            else:
                if complete:
                    client.put(end_frame(client.pipeline))
                    client.end()

    async def take(self, subscription: Subscription, timeout_s: float) -> bytes | None:
        """As ``Subscription.take``; a client that had been passed over is read for again."""
        frames = await subscription.take(timeout_s)
        if subscription.behind:
            subscription.behind = False
            self.look([subscription.pipeline])
        return frames

    async def _poll(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(POLL_S)
            turn = (turn + 1) % POLL_TURNS
            everywhere = not self._hears_redis
            self.look([p for p in self._subscriptions if everywhere or p.int % POLL_TURNS == turn])

    async def _follow_redis(self) -> None:
        pause_s = 0.05
        while True:
            try:
                async for stream, entry_id, fields in self._entries():
                    pause_s = 0.05
                    self._hear(stream, entry_id, fields)
            except REDIS_AWAY as error:
                if self._hears_redis:
                    log.warning("redis_lost", error=type(error).__name__)
                self._hears_redis = False
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RECONNECT_MAX_S)
