"""Checkpoints: the table is the authority on which directories are kept."""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from app.db.pool import Connection
from app.db.queries import load
from schemas.checkpoint import Checkpoint, CheckpointReport

SQL = load("checkpoints")


async def record(c: Connection, reports: Iterable[CheckpointReport]) -> None:
    """Store what running attempts report."""
    await c.execute(SQL["record"], msgspec.json.encode(list(reports)).decode())


async def of_pipeline(c: Connection, pipeline: UUID, stage: str | None) -> list[Checkpoint]:
    """Those that are still there, oldest first."""
    return msgspec.json.decode(await c.fetchval(SQL["of_pipeline"], pipeline, stage), type=list[Checkpoint])


async def stage_names(c: Connection, pipeline: UUID) -> list[str]:
    """What the stages of a pipeline are called."""
    return [row["name"] for row in await c.fetch(SQL["stage_names"], pipeline)]


async def mark(c: Connection, ids: Iterable[int], state: str) -> set[int]:
    """Move checkpoints to ``state``; return those that could be moved."""
    return {row["id"] for row in await c.fetch(SQL["mark"], list(ids), state)}
