"""One client of an event stream: its place in a pipeline's events, and what waits to be sent to it.

Frames are events as the bytes of ``text/event-stream``, encoded once for all clients.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from schemas.event import Event

FRAMES_MAX = 200


def source(pipeline: UUID) -> str:
    """Where events of a pipeline say that they come from."""
    return f"/api/v1/pipelines/{pipeline}"


def frame(event: Event) -> bytes:
    """Encode one event; only durable ones have an id."""
    place = b"id: %b\n" % event.id.encode() if event.id else b""
    return b"%bevent: %b\ndata: %b\n\n" % (place, event.type.encode(), msgspec.json.encode(event))


def end_frame(pipeline: UUID) -> bytes:
    """Encode the event behind which a client need not come back."""
    moment = datetime.now(UTC)
    return frame(Event(id=None, source=source(pipeline), type="end", subject=None, time=moment, data={}))


class Subscription:
    """Where a client is, with room for ``FRAMES_MAX`` frames; ``behind``: it was passed over for lack of it."""

    def __init__(self, pipeline: UUID, after: int) -> None:
        self.pipeline = pipeline
        self.seq = after
        self.behind = False
        self.ended = False
        self._frames: deque[bytes] = deque()
        self._changed = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether one more frame may wait for this client."""
        return not self.ended and len(self._frames) < FRAMES_MAX

    def give(self, frames: Iterable[tuple[int, bytes]], *, complete: bool) -> None:
        """Let those of the numbered frames wait that the client has not had; ``complete``: none will follow."""
        for seq, data in frames:
            if seq <= self.seq:
                continue
            if not self.has_room:
                self.behind = True
                return
            self.put(data)
            self.seq = seq
        if complete:
            self.put(end_frame(self.pipeline))
            self.end()

    def put(self, data: bytes) -> None:
        """Let a frame wait for the client."""
        self._frames.append(data)
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
