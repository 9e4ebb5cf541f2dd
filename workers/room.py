"""What the parts of one worker process share."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from app.db.pool import Pool
from app.queue import JobQueue
from app.settings import Settings
from schemas.stage import Claim, Held
from workers.progress_server import ProgressServer
from workers.slots import Offer, nothing
from workers.tasks import Task


class Stop(StrEnum):
    """Why an attempt is stopped before it ends by itself; the later ones outrank the earlier."""

    DRAIN = "drain"
    """The worker is leaving: checkpoint, to be continued elsewhere."""
    TIMEOUT = "timeout"
    """It ran longer than its stage allows."""
    CANCEL = "cancel"
    """A client asked for it."""
    FENCED = "fenced"
    """The stage is no longer this worker's, or may not be in a moment: end at once."""


RANK = {reason: rank for rank, reason in enumerate(Stop)}


@dataclass(eq=False)
class Attempt:
    """An attempt that this worker holds, from the claim until its outcome is committed."""

    claim: Claim
    stop_reason: Stop | None = None
    on_stop: Callable[[], object] | None = None
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def held(self) -> Held:
        """What the beat says of it."""
        return Held(self.claim.stage, self.claim.lease_token)

    def stop(self, reason: Stop) -> None:
        """Ask it to end, once for each rising rank of reasons."""
        if self.stop_reason is None or RANK[reason] > RANK[self.stop_reason]:
            self.stop_reason = reason
            self._stopped.set()
            if self.on_stop is not None:
                self.on_stop()

    async def stopped(self, after: Stop | None = None) -> Stop:
        """Wait for a reason to stop that outranks ``after``."""
        while self.stop_reason is None or (after is not None and RANK[self.stop_reason] <= RANK[after]):
            self._stopped.clear()
            await self._stopped.wait()
        return self.stop_reason


@dataclass(eq=False)
class Room:
    """One worker process: its servers, its settings, what it can run and what it holds."""

    worker: UUID
    settings: Settings
    pool: Pool
    queue: JobQueue
    tasks: dict[str, Task]
    attempts: dict[UUID, Attempt] = field(default_factory=dict)
    progress_server: ProgressServer = field(default_factory=ProgressServer)
    offering: Callable[[], AbstractContextManager[Offer]] = nothing

    def hold(self, claim: Claim) -> Attempt:
        """Take up a granted claim; the beats answer for it from now on."""
        attempt = self.attempts[claim.lease_token] = Attempt(claim)
        return attempt

    def let_go(self, lease_token: UUID) -> None:
        """The outcome is committed, or is no longer ours to tell."""
        self.attempts.pop(lease_token, None)

    def stop_all(self, reason: Stop) -> None:
        """Ask everything to end."""
        for attempt in list(self.attempts.values()):
            attempt.stop(reason)
