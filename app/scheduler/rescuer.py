"""Rescue: take stages back from workers whose lease has run out.

After an outage of Postgres every lease has run out at once, and nobody is to blame. A rescuer that could not tick
itself for a while, or that has only just begun and cannot know, therefore waits one full lease before it takes any:
those who live renew theirs meanwhile.
"""

import time
from collections.abc import Callable

import structlog

from app.scheduler.releaser import Releaser, announce
from app.services import stages, workers
from schemas.stage import Completed

LIMIT = 1_000
log = structlog.get_logger()


class Rescuer:
    """Ends the attempts of dead workers as lost, and of workers that did not enforce a timeout as timed out."""

    def __init__(
        self,
        releaser: Releaser,
        *,
        lease_timeout_s: float,
        interval_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.releaser = releaser
        self.lease_timeout_s = lease_timeout_s
        self.interval_s = interval_s
        self._clock = clock
        self._ticked_at: float | None = None
        self._trusts_leases_at = 0.0

    async def run_once(self) -> int:
        """Take expired leases, unless it was away itself; return how many attempts were ended."""
        overran = await stages.enforce_timeouts(self.releaser.pool, self.lease_timeout_s)
        now = self._clock()  # only now: Postgres may have been frozen while it was asked
        if self._was_away(now):
            self._trusts_leases_at = now + self.lease_timeout_s
        if now >= self._trusts_leases_at:
            await workers.expire(self.releaser.pool)
        self._ticked_at = now
        lost = await stages.rescue(self.releaser.pool, LIMIT)
        return sum([await self._follow_up(answer) for answer in (overran, lost)])

    def _was_away(self, now: float) -> bool:
        if self._ticked_at is None:
            return True
        away_s = now - self._ticked_at
        if away_s > 2 * self.interval_s + 1:
            log.warning("rescuer_was_away", seconds=round(away_s, 1))
            return True
        return False

    async def _follow_up(self, answer: Completed) -> int:
        if answer.hints:
            log.warning("attempts_rescued", pipelines=[str(hint.pipeline) for hint in answer.hints])
            await announce(self.releaser.queue, answer)
            await self.releaser.release(hint.pipeline_id for hint in answer.hints)
        return len(answer.hints)
