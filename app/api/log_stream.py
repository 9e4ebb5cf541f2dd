"""A log as it is written, as server-sent events: through one attempt after the other, to the end of the task.

The file is looked at again and again, in ever longer steps while nothing comes; that an attempt has ended or another
has begun is heard from the broadcaster. What an attempt has written is read to its end only after the attempt is known
to be over, so nothing is missed; and nothing is read before the client has taken what was read before.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import msgspec
import structlog

from app.api.state import ApiState
from app.artifacts import open_log
from app.attempt_log import LogReader
from app.errors import NotFound, Unavailable
from app.services import tasks
from app.subscription import Subscription
from schemas.task import TaskPlace

log = structlog.get_logger("headway.api")

RETRY = b"retry: 2000\n\n"
HEARTBEAT = b": heartbeat\n\n"
LOOK_AGAIN_MIN_S = 0.05
LOOK_AGAIN_MAX_S = 0.5


def open_reader(state: ApiState, place: TaskPlace, attempt: int, offset: int = 0) -> LogReader:
    """Read the log of an attempt from an offset on."""
    return LogReader(partial(open_log, state.settings.data_dir, place.pipeline, place.stage, attempt), offset)


class LogStream:
    """What one client follows, from where ``reader`` stands in the log of ``attempt``; 0 before the first."""

    def __init__(self, state: ApiState, task: UUID, place: TaskPlace, attempt: int, reader: LogReader) -> None:
        self._state = state
        self._task = task
        self._place = place
        self._attempt = attempt
        self._reader = reader
        self._pause_s = LOOK_AGAIN_MIN_S
        self._sent_at = self._now()

    async def frames(self) -> AsyncIterator[bytes]:
        """What to send; ends without an ``end`` event when the client should come back, perhaps to another process."""
        with self._state.broadcaster.subscribe(self._place.pipeline, self._place.seq) as news:
            yield RETRY
            while True:
                is_over = self._place.is_over(self._attempt)
                if text := await asyncio.to_thread(self._reader.read, last=is_over):
                    yield self._log_frame(text)
                    self._sent_at, self._pause_s = self._now(), LOOK_AGAIN_MIN_S
                elif is_over and self._place.attempt > self._attempt:
                    self._attempt += 1
                    self._reader = open_reader(self._state, self._place, self._attempt)
                elif is_over and self._place.has_ended:
                    yield self._end_frame()
                    return
                elif not await self._wait(news):
                    return
                elif self._now() >= self._heartbeat_at:
                    yield HEARTBEAT
                    self._sent_at = self._now()

    def _log_frame(self, text: str) -> bytes:
        data = msgspec.json.encode({"attempt": self._attempt, "text": text})
        return b"id: %d:%d\nevent: log\ndata: %b\n\n" % (self._attempt, self._reader.place, data)

    def _end_frame(self) -> bytes:
        return b"event: end\ndata: %b\n\n" % msgspec.json.encode({"status": self._place.status})

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    @property
    def _heartbeat_at(self) -> float:
        return self._sent_at + self._state.heartbeat_s

    async def _wait(self, news: Subscription) -> bool:
        """Wait until there may be more; False when this stream has to end."""
        until = self._heartbeat_at
        if not self._place.is_over(self._attempt):
            until = min(until, self._now() + self._pause_s)
            self._pause_s = min(2 * self._pause_s, LOOK_AGAIN_MAX_S)
        while (left_s := until - self._now()) > 0:
            frames = await self._state.broadcaster.take(news, left_s)
            if frames is None:  # all was told, the end of the task included; or this process shuts down
                return False
            if self._concern_the_task(frames):
                return await self._look()
        return True

    def _concern_the_task(self, frames: bytes) -> bool:
        """Whether a durable event is about this task; those without an id are told every second."""
        task = str(self._task).encode()
        return any(frame.startswith(b"id: ") and task in frame for frame in frames.split(b"\n\n"))

    async def _look(self) -> bool:
        """See how the task is now; False when that cannot be told."""
        try:
            self._place = await tasks.place(self._state.pool, self._task)
        except (NotFound, Unavailable) as error:  # it was deleted; or the client comes back to where Postgres is
            log.info("log_stream_ends", task=str(self._task), reason=error.detail)
            return False
        return True
