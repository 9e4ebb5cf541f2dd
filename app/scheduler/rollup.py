"""Roll up: what ends is counted once, so that statistics never have to look at history."""

from app.db.pool import Pool
from app.services import stats

PASSES_MAX = 20
"""A long backlog is counted over several turns."""


class RollUp:
    """Of any number of schedulers one counts at a time; the others have nothing to do then."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def run_once(self) -> int:
        """Count the stages that have ended since the last time; return how many."""
        total = 0
        for _ in range(PASSES_MAX):
            answer = await stats.count_ends(self.pool)
            total += answer.counted
            if not answer.more:
                break
        return total
