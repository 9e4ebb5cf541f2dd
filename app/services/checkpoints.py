"""Checkpoints: reported by running attempts, taken away by the clean-up stage."""

from collections.abc import Iterable
from uuid import UUID

from app.db import checkpoints as db
from app.db.pool import Pool, connection
from schemas.checkpoint import Checkpoint, CheckpointReport


async def record(pool: Pool, reports: Iterable[CheckpointReport]) -> None:
    """Store checkpoints that running attempts have finished writing."""
    async with connection(pool) as c:
        await db.record(c, reports)


async def of_pipeline(pool: Pool, pipeline: UUID, stage: str | None = None) -> list[Checkpoint]:
    """The checkpoints of a pipeline, or of one of its stages, oldest first."""
    async with connection(pool) as c:
        return await db.of_pipeline(c, pipeline, stage)


async def stage_names(pool: Pool, pipeline: UUID) -> list[str]:
    """What the stages of a pipeline are called."""
    async with connection(pool) as c:
        return await db.stage_names(c, pipeline)


async def mark(pool: Pool, ids: Iterable[int], state: str) -> set[int]:
    """Move checkpoints to ``state``; those that refuse (pinned meanwhile) are missing from the answer."""
    async with connection(pool) as c:
        return await db.mark(c, ids, state)
