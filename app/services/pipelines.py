"""Pipelines: submit, start, cancel, delete, and look at them."""

import os
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.core.cursor import read_cursor, write_cursor
from app.core.plan import Plan
from app.db import pipelines as db
from app.db.pool import Pool, connection
from app.db.selection import Key
from app.errors import Conflict, NotFound
from app.services.selection import select
from schemas import limits
from schemas.bulk import PipelineFilter
from schemas.pipeline import Pipeline, PipelinePage, PipelineProgress
from schemas.stage import Stage, Transition
from schemas.states import STAGE_TERMINAL, StageStatus

DEFAULT_PROJECT = "default"
LOOK_AT_MAX = 100_000
"""A page looks at so many pipelines at most, and is short if too few of them match."""


def uuid7() -> UUID:
    """A UUID of version 7 (RFC 9562): the time in front keeps a growing index's new entries together."""
    milliseconds = time.time_ns() // 1_000_000
    bits = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    return UUID(int=(bits & ~(0xF << 76) & ~(0x3 << 62)) | (0x7 << 76) | (0x2 << 62))


async def create(pool: Pool, plan: Plan, *, project: str = DEFAULT_PROJECT) -> tuple[UUID, Transition]:
    """Submit a pipeline, and start it if the plan says so. The caller dispatches what the transition names."""
    uuid = plan.uuid or uuid7()
    spec, edges = rows(plan, uuid, project)
    async with connection(pool) as c:
        return uuid, await db.create(c, spec, edges)


def rows(plan: Plan, uuid: UUID, project: str) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    """What is stored of a plan, and its edges as pairs of positions (depends on, stage)."""
    position = {stage.name: number for number, stage in enumerate(plan.stages)}
    edges = [(position[other], position[stage.name]) for stage in plan.stages for other in stage.depends_on]
    dependents = Counter(source for source, _ in edges)
    stages = [
        {
            "position": number,
            "uuid": uuid7(),
            "name": stage.name,
            "task": stage.task,
            "queue": stage.queue,
            "slot": stage.slot,
            "params": stage.params,
            "references": stage.references,
            "max_retries": stage.max_retries,
            "retry_delay_s": stage.retry_delay_s,
            "retry_backoff": stage.retry_backoff,
            "retry_delay_max_s": stage.retry_delay_max_s,
            "timeout_s": stage.timeout_s,
            "queue_timeout_s": stage.queue_timeout_s,
            "total_timeout_s": stage.total_timeout_s,
            "trigger_rule": stage.trigger_rule,
            "allow_failure": stage.allow_failure,
            "unmet": len(stage.depends_on),
            "dependents": dependents[number],
        }
        for number, stage in enumerate(plan.stages)
    ]
    spec = {
        "uuid": uuid,
        "project": project,
        "name": plan.name,
        "description": plan.description,
        "priority": plan.priority,
        "labels": plan.labels,
        "start": plan.start,
        "stages": stages,
    }
    return spec, edges


async def start(pool: Pool, uuid: UUID) -> Transition:
    """pending → running, releasing the stages that wait for nothing.

    Raises:
        NotFound: no such pipeline.
        Conflict: it was started before.

    """
    async with connection(pool) as c:
        return _accepted(await db.start(c, uuid), uuid, "started")


async def cancel(pool: Pool, uuid: UUID) -> Transition:
    """→ cancelling: nothing of it starts any more, and what runs is stopped by its workers.

    Raises:
        NotFound: no such pipeline.
        Conflict: it has ended.

    """
    async with connection(pool) as c:
        return _accepted(await db.cancel(c, uuid), uuid, "cancelled")


async def pause(pool: Pool, uuid: UUID) -> Transition:
    """running → paused: nothing of it is dispatched or claimed, what runs may finish.

    Raises:
        NotFound: no such pipeline.
        Conflict: it is not running.

    """
    async with connection(pool) as c:
        return _accepted(await db.pause(c, uuid), uuid, "paused")


async def resume(pool: Pool, uuid: UUID) -> Transition:
    """paused → running, naming all that is queued for dispatch.

    Raises:
        NotFound: no such pipeline.
        Conflict: it is not paused.

    """
    async with connection(pool) as c:
        return _accepted(await db.resume(c, uuid), uuid, "resumed")


async def retry(pool: Pool, uuid: UUID) -> Transition:
    """failed | cancelled → running: what failed or was cancelled begins again, and what waits for it; the rest is kept.

    Raises:
        NotFound: no such pipeline.
        Conflict: it has not ended, or has completed.

    """
    async with connection(pool) as c:
        return _accepted(await db.retry(c, uuid), uuid, "retried")


async def patch(pool: Pool, uuid: UUID, changes: Mapping[str, Any]) -> Transition:
    """Change name, description, labels or priority; a new priority names all that is queued for dispatch.

    Raises:
        NotFound: no such pipeline.

    """
    async with connection(pool) as c:
        transition = await db.patch(c, uuid, changes)
    if transition is None:
        raise _unknown(uuid)
    return transition


async def delete(pool: Pool, uuid: UUID) -> None:
    """Remove a pipeline that has ended, or was never started, with all its rows.

    Raises:
        NotFound: no such pipeline.
        Conflict: it is under way.

    """
    async with connection(pool) as c:
        status = await db.delete(c, uuid)
    if status is None:
        raise _unknown(uuid)
    if status in {"running", "paused", "cancelling"}:
        raise Conflict(f"The pipeline is {status}; cancel it and wait for its end before deleting it.", state=status)


async def get(pool: Pool, uuid: UUID) -> Pipeline:
    """Everything about one pipeline.

    Raises:
        NotFound: no such pipeline.

    """
    async with connection(pool) as c:
        pipeline = await db.get(c, uuid)
    if pipeline is None:
        raise _unknown(uuid)
    ended = {stage.name for stage in pipeline.stages if stage.status in STAGE_TERMINAL}
    for stage in pipeline.stages:
        stage.waiting_reason = waiting_reason(stage, ended, pipeline.status)
    return pipeline


async def progress(pool: Pool, uuid: UUID) -> PipelineProgress:
    """The light answer: status and counts.

    Raises:
        NotFound: no such pipeline.

    """
    async with connection(pool) as c:
        found = await db.progress(c, uuid)
    if found is None:
        raise _unknown(uuid)
    return found


async def list_page(
    pool: Pool,
    wanted: PipelineFilter,
    *,
    cursor: str | None = None,
    limit: int = limits.PAGE_DEFAULT,
    sort: str = "-created_at",
    project: str = DEFAULT_PROJECT,
) -> PipelinePage:
    """One page of pipelines; ``sort`` is ``created_at`` or ``-created_at``.

    Raises:
        InvalidRequest: the cursor is none of ours, or a time is beyond the calendar.

    """
    found, behind = await select(
        pool,
        project,
        wanted,
        behind=None if cursor is None else read_cursor(cursor, Key),
        newest_first=sort.startswith("-"),
        limit=limit,
        look_at_max=LOOK_AT_MAX,
    )
    return PipelinePage(
        items=[summary for summary, _ in found], next_cursor=None if behind is None else write_cursor(behind)
    )


def _accepted(verdict: db.Verdict | None, uuid: UUID, participle: str) -> Transition:
    if verdict is None:
        raise _unknown(uuid)
    if verdict.refused is not None:
        raise Conflict(f"The pipeline is {verdict.refused} and cannot be {participle}.", state=verdict.refused)
    return verdict


def _unknown(uuid: UUID) -> NotFound:
    return NotFound(f"There is no pipeline {uuid}.")


def waiting_reason(stage: Stage, ended: set[str], pipeline_status: str) -> str | None:
    """What a stage waits for, in words; None if it waits for nothing. ``ended`` are the stages that have ended."""
    match stage.status:
        case StageStatus.PENDING if pipeline_status == "pending":
            return "the pipeline has not been started"
        case StageStatus.PENDING:
            return "waits for " + ", ".join(name for name in stage.depends_on if name not in ended)
        case StageStatus.QUEUED if pipeline_status == "paused":
            return "the pipeline is paused"
        case StageStatus.QUEUED:
            return stage.waiting_reason or f"waits for a free slot on the queue {stage.queue}"
        case StageStatus.RETRYING:
            return "waits for its next attempt"
        case _:
            return None
