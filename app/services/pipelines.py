"""Pipelines: submit, start, cancel, delete, and look at them."""

import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from app.core.plan import Plan
from app.core.waiting import waiting_reason
from app.db import pipelines as db
from app.db import queues as db_queues
from app.db.pool import Pool, connection
from app.errors import Conflict, Fault, InvalidRequest, NotFound
from schemas import limits
from schemas.pipeline import Pipeline, PipelinePage, PipelineProgress
from schemas.stage import Transition
from schemas.states import STAGE_TERMINAL

DEFAULT_PROJECT = "default"


def uuid7() -> UUID:
    """A UUID of version 7 (RFC 9562): the time in front keeps a growing index's new entries together."""
    milliseconds = time.time_ns() // 1_000_000
    bits = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    return UUID(int=(bits & ~(0xF << 76) & ~(0x3 << 62)) | (0x7 << 76) | (0x2 << 62))


async def create(pool: Pool, plan: Plan, *, project: str = DEFAULT_PROJECT) -> tuple[UUID, Transition]:
    """Submit a pipeline, and start it if the plan says so. The caller dispatches what the transition names."""
    uuid = uuid7()
    spec, edges = _rows(plan, uuid, project)
    async with connection(pool) as c:
        return uuid, await db.create(c, spec, edges)


def _rows(plan: Plan, uuid: UUID, project: str) -> tuple[dict[str, Any], list[tuple[int, int]]]:
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
        return _accepted(await db.retry(c, uuid, None), uuid, "retried")


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
        raise Conflict(f"The pipeline is {status}; cancel it and wait for its end before deleting it.")


async def get(pool: Pool, uuid: UUID) -> Pipeline:
    """Everything about one pipeline.

    Raises:
        NotFound: no such pipeline.

    """
    async with connection(pool) as c:
        pipeline = await db.get(c, uuid)
        paused = await db_queues.paused(c)
    if pipeline is None:
        raise _unknown(uuid)
    ended = {stage.name for stage in pipeline.stages if stage.status in STAGE_TERMINAL}
    for stage in pipeline.stages:
        stage.waiting_reason = waiting_reason(stage, ended, pipeline.status, paused)
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
    *,
    statuses: Sequence[str] | None = None,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    created_after: datetime | None = None,
    cursor: str | None = None,
    limit: int = limits.PAGE_DEFAULT,
    sort: str = "-created_at",
    project: str = DEFAULT_PROJECT,
) -> PipelinePage:
    """One page of pipelines; ``sort`` is ``created_at`` or ``-created_at``.

    Raises:
        InvalidRequest: the cursor is none of ours.

    """
    async with connection(pool) as c:
        rows = await db.page(
            c,
            project,
            statuses=statuses,
            name=name,
            labels=labels,
            created_after=created_after,
            after=None if cursor is None else _read_cursor(cursor),
            limit=limit + 1,
            newest_first=sort.startswith("-"),
        )
    shown, beyond = rows[:limit], rows[limit:]
    return PipelinePage(
        items=[summary for summary, _ in shown],
        next_cursor=_write_cursor(shown[-1][1]) if beyond else None,
    )


def _accepted(verdict: db.Verdict | None, uuid: UUID, participle: str) -> Transition:
    if verdict is None:
        raise _unknown(uuid)
    if verdict.refused is not None:
        raise Conflict(f"The pipeline is {verdict.refused} and cannot be {participle}.", status=verdict.refused)
    return verdict


def _unknown(uuid: UUID) -> NotFound:
    return NotFound(f"There is no pipeline {uuid}.")


def _write_cursor(key: tuple[datetime, int]) -> str:
    return urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, int]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        moment, number = msgspec.json.decode(urlsafe_b64decode(padded), type=tuple[datetime, int])
    except (ValueError, msgspec.DecodeError):
        detail = "The cursor is not one that this API gave out; start again without it."
        raise InvalidRequest(detail, faults=(Fault("cursor_invalid", detail),)) from None
    if not 0 <= number < 2**63 or moment.tzinfo is None:
        raise InvalidRequest("The cursor is not one that this API gave out; start again without it.")
    return moment, number
