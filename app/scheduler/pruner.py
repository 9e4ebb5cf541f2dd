"""Prune: remove what is kept for a time only, in small batches."""

from app.db.pool import Pool
from app.services import idempotency

BATCH = 1_000


class Pruner:
    """Forgets idempotency keys that have expired."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def run_once(self) -> int:
        """Remove batch after batch until one is not full; return how much was removed."""
        pruned = batch = await idempotency.prune(self.pool, BATCH)
        while batch == BATCH:
            pruned += (batch := await idempotency.prune(self.pool, BATCH))
        return pruned
