"""The lease: a thread of its own beats for the whole worker, whatever its event loop is doing.

A beat renews the lease and brings back what to stop. The thread also guards its own process:

* An event loop that has been silent for half a lease is taken for dead. The process ends on the spot; the supervisors
  notice and kill its stages with it.
* When Postgres has not answered for two thirds of a lease, the stages are asked to checkpoint and leave; shortly before
  the lease can be taken they are killed. So nobody else runs a stage while it still runs here.

It looks at the clock in steps of its own: a beat that hangs on a dead wire does not hold up the guard.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from app.db import workers as db
from app.db.pool import Session, open_session, reachable
from app.errors import Unavailable
from app.log import Outage
from schemas.stage import Beat
from workers.room import Room

WARN_SHARE = 2 / 3
KILL_SHARE = 0.9
SILENT_SHARE = 0.5
STEPS = 20
EXIT_SILENT_LOOP = 70
log = structlog.get_logger()


class Lease(threading.Thread):
    """Beats until ``end``; tells the worker's event loop what it hears through ``on_beat`` and ``on_doubt``.

    ``on_doubt(share)`` is called, again and again, while the lease could not be renewed: ``share`` of it has passed.
    """

    def __init__(self, room: Room, on_beat: Callable[[Beat], None], on_doubt: Callable[[float], None]) -> None:
        super().__init__(name="lease", daemon=True)
        self.room = room
        self.timeout_s = room.settings.lease_timeout_s
        self.interval_s = room.settings.heartbeat_interval_s
        self.step_s = self.timeout_s / STEPS
        self._main_loop = asyncio.get_running_loop()
        self._own_loop = asyncio.new_event_loop()
        self._on_beat, self._on_doubt = on_beat, on_doubt
        self._called = asyncio.Event()
        self._ended = False
        self._renewed_at = time.monotonic()
        self._silent_steps = 0
        self._outage = Outage(log, "beat_failed")

    def beat_now(self) -> None:
        """Do not wait for the next turn."""
        self._own_loop.call_soon_threadsafe(self._called.set)

    def end(self) -> None:
        """Stop beating, for good."""
        self._ended = True
        self.beat_now()

    def run(self) -> None:
        """Beat and guard; see the module's docstring."""
        with asyncio.Runner(loop_factory=lambda: self._own_loop) as runner:
            runner.run(self._watch())

    async def _watch(self) -> None:
        beating = asyncio.create_task(self._beats())
        while not beating.done():
            self._guard()
            await asyncio.wait([beating], timeout=self.step_s)

    async def _beats(self) -> None:
        session: Session | None = None
        while not self._ended:
            self._called.clear()
            next_at = time.monotonic() + self.interval_s
            session = await self._beat(session)
            # In doubt every step beats, so that the first sign of life from Postgres renews the lease.
            pause_s = max(0, next_at - time.monotonic()) if session is not None else self.step_s
            with suppress(TimeoutError):
                await asyncio.wait_for(self._called.wait(), pause_s)
        if session is not None:
            session.terminate()

    async def _beat(self, session: "Session | None") -> "Session | None":
        began = time.monotonic()
        held = [attempt.held for attempt in list(self.room.attempts.values())]
        try:
            with reachable():
                async with asyncio.timeout(max(1.0, self.timeout_s / 4)):
                    session = session or await open_session(_url(self.room))
                    answer = await db.beat(session, self.room.worker, self.timeout_s, held)
        except Unavailable as error:
            self._outage.note(error.__cause__ or error)
            if session is not None:
                session.terminate()
            return None
        except Exception:
            log.exception("beat_failed")
            if session is not None:
                session.terminate()
            return None
        self._renewed_at = began
        self._outage.end()
        self._tell(self._on_beat, answer)
        return session

    def _guard(self) -> None:
        """Act on a lease in doubt, and on an event loop that is silent."""
        if self._ended:
            return
        share = (time.monotonic() - self._renewed_at) / self.timeout_s
        if share > WARN_SHARE:
            self._tell(self._on_doubt, share)
        # Counted in steps of this thread and not in seconds: a process that was suspended is not at fault.
        self._silent_steps += 1
        self._tell(self._heard)
        if self._silent_steps > SILENT_SHARE * STEPS:
            sys.stderr.write("headway worker: the event loop is blocked; ending this process and its stages\n")
            os._exit(EXIT_SILENT_LOOP)

    def _heard(self) -> None:
        self._silent_steps = 0

    def _tell(self, listener: Callable[..., None], *news: object) -> None:
        if not self._ended:
            self._main_loop.call_soon_threadsafe(listener, *news)


def _url(room: Room) -> str:
    url = room.settings.database_url
    assert url is not None
    return url.get_secret_value()
