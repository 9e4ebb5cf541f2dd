"""Release: after a stage has ended, its dependents are released or skipped and its pipeline may settle."""

from collections.abc import Iterable

import structlog

from app.db.pool import Pool
from app.log import told
from app.queue import REDIS_AWAY, JobQueue
from app.services import stages
from schemas.stage import Transition

SWEEP_LIMIT = 1_000
PASS_LIMIT = 100
log = structlog.get_logger()


class Releaser:
    """The second of the two acts, where the first has not done it too: on a hint or by sweep."""

    def __init__(self, pool: Pool, queue: JobQueue) -> None:
        self.pool = pool
        self.queue = queue

    async def run_once(self) -> int:
        """Sweep: release in every pipeline that a lost hint left behind; return how many there were."""
        behind = await stages.releasable(self.pool, SWEEP_LIMIT)
        await self.release(behind)
        return len(behind)

    async def release(self, pipeline_ids: Iterable[int]) -> None:
        """Release in these pipelines, pass after pass, and put what was queued on Redis.

        What somebody else has locked for seconds is left to the sweep.
        """
        waiting = set(pipeline_ids)
        while waiting:
            batch = sorted(waiting)[:PASS_LIMIT]
            answer = await stages.release(self.pool, batch)
            waiting = waiting.difference(batch).union(answer.more)
            await announce(self.queue, answer)


async def announce(queue: JobQueue, transition: Transition) -> None:
    """Dispatch and hint what has been committed; what does not reach Redis is found by the sweep and by polling."""
    try:
        await queue.announce(transition)
    except REDIS_AWAY as error:
        log.warning("redis_away", error=told(error), queued=len(transition.queued))
