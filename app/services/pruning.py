"""Pruning: pipelines that ended long ago go, and what a deleted one has left on disk goes after it.

A pipeline is deleted in one transaction, which leaves word of its artifacts; these are removed next, and the word last.
So a prune, or a delete, that dies anywhere is finished by the next prune.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import structlog

from app.artifacts import FOLDER
from app.db import pruning as db
from app.db import stages as db_stages
from app.db.pool import Pool, connection
from app.errors import Unavailable
from app.trash import remove

LOOKED_AT_ONCE = 200
log = structlog.get_logger()


async def prune(pool: Pool, data_dir: Path, *, older_than_s: float) -> int:
    """Delete the pipelines that ended longer ago than that, and return how many; one with a pinned checkpoint stays.

    It may be called as often as one likes, also at once from several processes.
    """
    pruned = 0
    async with connection(pool) as c:
        before = await db_stages.now(c) - timedelta(seconds=older_than_s)
    async for pipeline in _ended(pool, before):
        async with connection(pool) as c:
            if not await db.prune(c, pipeline, before):
                continue
        pruned += 1
        log.info("pipeline_pruned", pipeline=str(pipeline))
        await _guarded(pool, data_dir, pipeline)
    return pruned


async def _ended(pool: Pool, before: datetime) -> AsyncIterator[UUID]:
    after: int | None = 0
    while after is not None:
        async with connection(pool) as c:
            pipelines, after = await db.ended(c, before, after, LOOKED_AT_ONCE)
        for pipeline in pipelines:
            yield pipeline


async def remove_leftovers(pool: Pool, data_dir: Path) -> None:
    """Remove what pipelines have left on disk whose delete has died, or was refused by the disk."""
    left: UUID | None = UUID(int=0)
    while left is not None:
        async with connection(pool) as c:
            left = await db.left(c, left)
        if left is not None:
            await _guarded(pool, data_dir, left)


async def _guarded(pool: Pool, data_dir: Path, pipeline: UUID) -> None:
    """One whose files cannot be removed must not keep the others from it."""
    try:
        await remove_artifacts(pool, data_dir, pipeline)
    except (OSError, RecursionError) as error:  # the latter of directories that lie very deep
        log.warning("artifacts_not_removed", pipeline=str(pipeline), error=str(error))


async def remove_artifacts(pool: Pool, data_dir: Path, pipeline: UUID) -> None:
    """Remove all that a deleted pipeline has left on disk.

    Raises:
        OSError: it cannot be removed just now.

    """
    try:
        await asyncio.to_thread(remove, data_dir / FOLDER, (str(pipeline),), str(pipeline))
    except FileNotFoundError:  # of all pipelines: there never were any, or their volume is away
        log.warning("artifacts_are_away", pipeline=str(pipeline))
        return
    try:
        async with connection(pool) as c:
            await db.removed(c, pipeline)
    except Unavailable:
        log.warning("removal_not_noted", pipeline=str(pipeline))  # the next prune finds that nothing is left
