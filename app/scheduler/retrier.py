"""Retry: queue the stages whose next attempt is due, and fail those that have waited too long for one."""

from app.scheduler.releaser import Releaser
from app.services import stages

LIMIT = 1_000


class Retrier:
    """Delays live in Postgres only; this looks for those that are over."""

    def __init__(self, releaser: Releaser) -> None:
        self.releaser = releaser

    async def run_once(self) -> int:
        """Queue again, or fail, what is due; return in how many pipelines."""
        due = await stages.due(self.releaser.pool, LIMIT)
        await self.releaser.release(due)
        return len(due)
