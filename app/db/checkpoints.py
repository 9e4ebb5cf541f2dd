"""Checkpoints: the table is the authority on which directories are kept."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from app.db.pool import Connection
from app.db.queries import load
from schemas.checkpoint import Checkpoint, CheckpointReport, ResumePoint, StoredCheckpoint
from schemas.states import CheckpointState

SQL = {name: sql.replace("{item}", load("checkpoints")["item"]) for name, sql in load("checkpoints").items()}
NEWEST = 2**63 - 1


class Scope(Struct, frozen=True, kw_only=True):
    """Of whom a list is: of all pipelines, or of one, and there perhaps of one stage, by position or by name."""

    pipeline_id: int | None = None
    position: int | None = None
    stage: str | None = None


async def record(c: Connection, reports: Iterable[CheckpointReport]) -> None:
    """Store what running attempts report."""
    await c.execute(SQL["record"], msgspec.json.encode(list(reports)).decode())


async def condemn(c: Connection, stage: UUID, lease_token: UUID, path: str, reason: str) -> None:
    """→ invalid, if the attempt may say so."""
    await c.execute(SQL["condemn"], stage, lease_token, path, reason)


async def resume_point(
    c: Connection, stage: UUID, lease_token: UUID, passed_over: Sequence[str] = ()
) -> ResumePoint | None:
    """The newest complete checkpoint of a stage but for some paths, for the attempt that holds it."""
    row = await c.fetchrow(SQL["resume_point"], stage, lease_token, list(passed_over))
    return None if row is None else ResumePoint(row["path"], row["bytes"])


async def of_pipeline(c: Connection, pipeline: UUID, stage: str | None) -> list[StoredCheckpoint]:
    """Those that are still there, oldest first."""
    return msgspec.json.decode(await c.fetchval(SQL["of_pipeline"], pipeline, stage), type=list[StoredCheckpoint])


async def stage_names(c: Connection, pipeline: UUID) -> list[str]:
    """What the stages of a pipeline are called."""
    return [row["name"] for row in await c.fetch(SQL["stage_names"], pipeline)]


async def mark_deleting(c: Connection, ids: Iterable[int]) -> set[int]:
    """→ deleting; return those that may go."""
    return {row["id"] for row in await c.fetch(SQL["mark_deleting"], list(ids))}


async def mark_deleted(c: Connection, ids: Iterable[int]) -> None:
    """→ deleted, those that still are to go."""
    await c.execute(SQL["mark_deleted"], list(ids))


async def mark_lost(c: Connection, number: int) -> None:
    """Complete → invalid: its files are gone all the same."""
    await c.execute(SQL["mark_lost"], number)


async def mark_kept(c: Connection, ids: Iterable[int], rule: str) -> None:
    """Remember that a rule has judged them."""
    await c.execute(SQL["mark_kept"], list(ids), rule)


async def other_rules(c: Connection, rule: str) -> list[str]:
    """The rules, other than this one, that have last judged some checkpoints; "" for those that never were judged."""
    return [row["kept_by"] for row in await c.fetch(SQL["other_rules"], rule)]


async def to_judge(
    c: Connection, judged_by: str, ended_before: datetime, after: int, limit: int
) -> tuple[list[UUID], int | None]:
    """Pipelines that ended before then, from behind the number ``after``, and behind which to go on; None at the end.

    They have checkpoints that were last judged by this rule; ``limit`` of those are looked at.
    """
    row = await c.fetchrow(SQL["to_judge"], judged_by, ended_before, after, limit)
    assert row is not None
    return row["ended"], None if row["young"] else row["last"]


async def half_deleted(c: Connection, limit: int) -> list[UUID]:
    """Pipelines where a deletion is to be finished."""
    return [row["uuid"] for row in await c.fetch(SQL["half_deleted"], limit)]


async def pin(c: Connection, number: int, *, pinned: bool) -> None:
    """Pin or unpin it, if it is still there."""
    await c.execute(SQL["pin"], number, pinned)


async def get(c: Connection, number: int) -> Checkpoint | None:
    """One checkpoint; None if there is none of this number."""
    found = await c.fetchval(SQL["get"], number)
    return None if found is None else msgspec.json.decode(found, type=Checkpoint)


async def place_of_task(c: Connection, task: UUID) -> tuple[int, int] | None:
    """Pipeline and position of a stage; None if there is no such one."""
    row = await c.fetchrow(SQL["place_of_task"], task)
    return None if row is None else (row["pipeline_id"], row["position"])


async def page(
    c: Connection, scope: Scope, states: Sequence[CheckpointState], before: int, limit: int
) -> list[Checkpoint]:
    """At most ``limit`` checkpoints in these states that are older than ``before``, newest first."""
    if scope.pipeline_id is None:
        found = await c.fetchval(SQL["page_of_all"], states, before, limit)
    else:
        within = (scope.pipeline_id, scope.position, scope.stage)
        found = await c.fetchval(SQL["page_of_pipeline"], *within, states, before, limit)
    return msgspec.json.decode(found, type=list[Checkpoint])
