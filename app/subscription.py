"""What waits to be sent to one client of an event stream, and for the stream of one pipeline its place there.

Frames are events as the bytes of ``text/event-stream``, encoded once for all clients.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from schemas.event import Event, LiveEvent

FRAMES_MAX = 200


def source(pipeline: UUID) -> str:
    """Where events of a pipeline say that they come from."""
    return f"/api/v1/pipelines/{pipeline}"


def frame(event: Event, place: str | None) -> bytes:
    """Encode one event; ``place`` is where to resume behind it, which live ones do not have."""
    line = b"id: %b\n" % place.encode() if place else b""
    return b"%bevent: %b\ndata: %b\n\n" % (line, event.type.encode(), msgspec.json.encode(event))


def live_frame(live: LiveEvent, time: datetime) -> bytes:
    """Encode what a running stage reported."""
    place = source(live.pipeline)
    return frame(Event(id=None, source=place, type=live.type, subject=live.subject, time=time, data=live.data), None)


def end_frame(pipeline: UUID) -> bytes:
    """Encode the event behind which a client need not come back."""
    moment = datetime.now(UTC)
    return frame(Event(id=None, source=source(pipeline), type="end", subject=None, time=moment, data={}), None)


class Outbox:
    """Frames that wait for a client; there is room while they are fewer than ``FRAMES_MAX``."""

    def __init__(self) -> None:
        self.ended = False
        self._frames: deque[bytes] = deque()
        self._changed = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether more may wait for this client."""
        return not self.ended and len(self._frames) < FRAMES_MAX

    @property
    def is_empty(self) -> bool:
        """Whether the client has taken everything."""
        return not self._frames

    def put(self, *frames: bytes) -> None:
        """Let frames wait for the client."""
        self._frames.extend(frames)
        self._changed.set()

    def end(self) -> None:
        """Nothing follows what already waits."""
        self.ended = True
        self._changed.set()

    async def take(self, timeout_s: float) -> bytes | None:
        """All frames that wait, joined; nothing (``b""``) when none came within ``timeout_s``, None after the last."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        self._changed.clear()
        frames = b"".join(self._frames)
        self._frames.clear()
        if self.ended:
            self._changed.set()
        return frames or (None if self.ended else b"")


class Subscription(Outbox):
    """A client's place in the events of one pipeline; ``behind``: it was passed over for lack of room."""

    def __init__(self, pipeline: UUID, after: int) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.seq = after
        self.behind = False

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
