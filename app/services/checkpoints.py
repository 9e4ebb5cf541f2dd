"""Checkpoints: reported by running attempts, listed, pinned and found torn; ``retention`` takes them away."""

from collections.abc import Iterable, Sequence
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from app.core.cursor import read_cursor, write_cursor
from app.db import checkpoints as db
from app.db import tasks as db_tasks
from app.db.pool import Connection, Pool, connection
from app.errors import Conflict, InvalidRequest, NotFound
from schemas import limits
from schemas.checkpoint import Checkpoint, CheckpointPage, CheckpointReport, ResumePoint, StoredCheckpoint
from schemas.problem import Fault
from schemas.states import CheckpointState

REASON_CHARS_MAX = 1_000
NUMBER_MAX = 2**63 - 1


class Cursor(Struct, frozen=True, array_like=True):
    """The last checkpoint of a page."""

    id: Annotated[int, Meta(ge=0, le=NUMBER_MAX)]


async def record(pool: Pool, reports: Iterable[CheckpointReport]) -> None:
    """Store checkpoints that running attempts write or have finished writing."""
    async with connection(pool) as c:
        await db.record(c, reports)


async def condemn(pool: Pool, stage: UUID, lease_token: UUID, path: str, reason: str) -> None:
    """A running attempt has found a checkpoint of its stage torn or missing. Repeat it if in doubt."""
    async with connection(pool) as c:
        await db.condemn(c, stage, lease_token, path, reason[:REASON_CHARS_MAX])


async def resume_point(
    pool: Pool, stage: UUID, lease_token: UUID, *, passed_over: Sequence[str] = ()
) -> ResumePoint | None:
    """Where a running attempt takes up the work, as far as Postgres knows; None to begin afresh."""
    async with connection(pool) as c:
        return await db.resume_point(c, stage, lease_token, passed_over)


async def of_pipeline(pool: Pool, pipeline: UUID, stage: str | None = None) -> list[StoredCheckpoint]:
    """The checkpoints of a pipeline, or of one of its stages, that are not deleted; oldest first."""
    async with connection(pool) as c:
        return await db.of_pipeline(c, pipeline, stage)


async def stage_names(pool: Pool, pipeline: UUID) -> list[str]:
    """What the stages of a pipeline are called."""
    async with connection(pool) as c:
        return await db.stage_names(c, pipeline)


async def list_page(
    pool: Pool,
    *,
    pipeline: UUID | None = None,
    task_id: UUID | None = None,
    stage: str | None = None,
    states: Sequence[CheckpointState] | None = None,
    cursor: str | None = None,
    limit: int = limits.PAGE_DEFAULT,
) -> CheckpointPage:
    """One page of checkpoints, newest first; all filters must match.

    Raises:
        InvalidRequest: the cursor is none of ours, or a stage is named without its pipeline.

    """
    if stage is not None and pipeline is None:
        detail = "query parameter stage: names of stages are unique in a pipeline only; give pipeline as well"
        raise InvalidRequest(detail, faults=(Fault("invalid_parameter", detail),))
    before = db.NEWEST if cursor is None else read_cursor(cursor, Cursor).id
    wanted = list(dict.fromkeys(states)) if states else list(CheckpointState)
    async with connection(pool) as c:
        scope = await _scope(c, pipeline, task_id, stage)
        found = await db.page(c, scope, wanted, before, limit + 1) if scope is not None else []
    shown, beyond = found[:limit], found[limit:]
    return CheckpointPage(items=shown, next_cursor=write_cursor(Cursor(shown[-1].id)) if beyond else None)


async def _scope(c: Connection, pipeline: UUID | None, task_id: UUID | None, stage: str | None) -> db.Scope | None:
    """What the filters leave; None if that is nothing."""
    number = position = None
    if pipeline is not None:
        number = await db_tasks.pipeline_id(c, pipeline)
        if number is None:
            return None
    if task_id is not None:
        place = await db.place_of_task(c, task_id)
        if place is None or number not in {None, place[0]}:
            return None
        number, position = place
    return db.Scope(pipeline_id=number, position=position, stage=stage)


async def pin(pool: Pool, number: int, *, pinned: bool = True) -> Checkpoint:
    """Keep a checkpoint whatever the rules say, or no longer. Twice is no error.

    Raises:
        NotFound: no such checkpoint.
        Conflict: it is to be pinned, and is being deleted or gone.

    """
    found = None
    if 0 < number <= NUMBER_MAX:
        async with connection(pool) as c:
            await db.pin(c, number, pinned=pinned)
            found = await db.get(c, number)
    if found is None:
        raise NotFound(f"There is no checkpoint {number}.")
    if found.pinned != pinned:
        raise Conflict(f"The checkpoint is {found.state}; it cannot be pinned any more.", state=found.state)
    return found
