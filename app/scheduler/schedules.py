"""Fire: make the pipelines of the slots that have come."""

import structlog

from app.db.pool import Pool
from app.errors import Conflict, NotFound, Unavailable
from app.queue import REDIS_AWAY, JobQueue
from app.scheduler.releaser import announce
from app.services import pipelines, schedules, slots
from schemas.schedule import DueSchedule

LIMIT = 100
PASSES_MAX = 20
"""What is left behind a long outage waits for the next turn."""
log = structlog.get_logger()


class Schedules:
    """Any number of schedulers may look; of those that fire a slot at once, Postgres takes one."""

    def __init__(self, pool: Pool, queue: JobQueue, *, stages_max: int) -> None:
        self.pool = pool
        self.queue = queue
        self.stages_max = stages_max
        self._broken: set[int] = set()  # those that were complained of, until they fire again

    async def run_once(self) -> int:
        """Decide every slot that has come; return how many times there was something to do."""
        done = 0
        for _ in range(PASSES_MAX):
            due = await slots.due(self.pool, LIMIT + len(self._broken))  # which come first, and stay due
            fired = [await self._fire(each) for each in due]
            done += sum(fired)
            if not any(fired):
                break
        return done + await self._cancel_others()

    async def _fire(self, due: DueSchedule) -> bool:
        """One schedule; False if there is nothing more to do for now, because somebody was faster or it is broken."""
        try:
            fired = await slots.fire(self.pool, due, stages_max=self.stages_max)
        except Unavailable:
            raise
        except Exception:  # such as a time zone that this machine does not know; the others must not wait for it
            if due.id not in self._broken:
                log.exception("schedule_broken", schedule=due.name)
            self._broken.add(due.id)
            return False
        self._broken.discard(due.id)
        if fired.queued or fired.hints:
            log.info("schedule_fired", schedule=due.name, slot=due.slot, pipelines=len(fired.hints))
            await announce(self.queue, fired)
        return not fired.stale

    async def _cancel_others(self) -> int:
        """Cancel what stands in the way of slots that want it; they run when it has ended."""
        others = await schedules.in_the_way(self.pool, LIMIT)
        for uuid in others:
            try:
                await announce(self.queue, await pipelines.cancel(self.pool, uuid))
                await self.queue.call_for_beats()
            except (Conflict, NotFound):
                continue  # it has ended, or is gone
            except REDIS_AWAY:
                continue  # its worker learns of it at the next beat
        return len(others)
