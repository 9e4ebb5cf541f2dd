"""Stages: the batched transitions, and the questions that the scheduler's sweep asks."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from app.db.pipelines import Verdict, verdict
from app.db.pool import Connection
from app.db.queries import load
from schemas.stage import (
    Claimed,
    ClaimRequest,
    Completed,
    CompletedToWorker,
    Completion,
    Lost,
    Overdue,
    Progress,
    Purged,
    QueuedStage,
    Released,
    Serves,
)

SQL = load("stages")
FIRST = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


def _json(batch: Iterable[Any]) -> str:
    return msgspec.json.encode(list(batch)).decode()


async def claim(c: Connection, worker: UUID, requests: Iterable[ClaimRequest], *, wait: bool) -> Claimed:
    """queued → running for those still there; ``wait`` for locks or leave the locked ones out."""
    wanted, dispatch_tokens, lease_tokens = zip(
        *((r.stage, r.dispatch_token, r.lease_token) for r in requests), strict=True
    )
    answer = await c.fetchval(SQL["claim"], worker, wanted, dispatch_tokens, lease_tokens, wait)
    return msgspec.json.decode(answer, type=Claimed)


async def complete(c: Connection, completions: Iterable[Completion], *, wait: bool) -> Completed:
    """End attempts; ``wait`` for locks or leave the locked ones out."""
    return msgspec.json.decode(await c.fetchval(SQL["complete"], _json(completions), wait), type=Completed)


async def complete_to_worker(
    c: Connection, completions: Iterable[Completion], worker: UUID, serves: Serves, *, most: tuple[int, int]
) -> CompletedToWorker:
    """As ``complete``, hardly waiting for locks, and follow up ``most`` (pipelines, dependents) for this worker."""
    answer = await c.fetchval(
        SQL["complete_to_worker"],
        _json(completions),
        worker,
        serves.queues,
        serves.tasks,
        serves.inline,
        serves.process,
        *most,
    )
    return msgspec.json.decode(answer, type=CompletedToWorker)


async def release(c: Connection, pipeline_ids: Iterable[int], *, batch: int, wait: bool) -> Released:
    """Release, skip, queue again and settle in these pipelines."""
    return msgspec.json.decode(await c.fetchval(SQL["release"], list(pipeline_ids), batch, wait), type=Released)


async def report_progress(c: Connection, reports: Iterable[Progress]) -> None:
    """Keep the last progress (0 to 1) of running attempts."""
    await c.execute(SQL["report_progress"], _json(reports))


async def releasable(c: Connection, limit: int) -> list[int]:
    """Pipelines that the sweep has to look at."""
    return [row["pipeline_id"] for row in await c.fetch(SQL["releasable"], limit)]


async def due(c: Connection, limit: int) -> list[int]:
    """Pipelines with a stage whose retry is due, or that has waited too long."""
    return [row["pipeline_id"] for row in await c.fetch(SQL["due"], limit)]


async def queued_after(
    c: Connection, after: tuple[datetime, UUID], *, min_age_s: float, limit: int
) -> list[QueuedStage]:
    """A page of queued stages in the order (queued_at, uuid), from behind ``after``."""
    found = await c.fetchval(SQL["queued_after"], *after, min_age_s, limit)
    return msgspec.json.decode(found, type=list[QueuedStage])


async def lost(c: Connection, limit: int) -> list[Lost]:
    """Running attempts whose worker has lost its lease, or has left."""
    return msgspec.json.decode(await c.fetchval(SQL["lost"], limit), type=list[Lost])


async def overdue(c: Connection, lease_timeout_s: float) -> list[Overdue]:
    """Running attempts two leases past their timeout."""
    return msgspec.json.decode(await c.fetchval(SQL["overdue"], lease_timeout_s), type=list[Overdue])


async def cancel(c: Connection, stage: UUID) -> Verdict | None:
    """→ cancelled, at once or by its worker; None if there is no such stage."""
    return verdict(await c.fetchval(SQL["cancel"], stage))


async def purge(c: Connection, pipeline_ids: Iterable[int], queue: str | None, *, wait: bool) -> Purged:
    """Cancel what is queued in these pipelines; ``wait`` for locks or leave the locked ones out."""
    return msgspec.json.decode(await c.fetchval(SQL["purge"], list(pipeline_ids), queue, wait), type=Purged)


async def pipelines_with_queued(c: Connection, queue: str | None, before: datetime, limit: int) -> list[int]:
    """Some pipelines in which a stage has been queued since ``before`` or longer."""
    return [row["pipeline_id"] for row in await c.fetch(SQL["pipelines_with_queued"], queue, before, limit)]


async def now(c: Connection) -> datetime:
    """What the database's clock says."""
    moment: datetime = await c.fetchval(SQL["now"])
    return moment


async def pipeline_of(c: Connection, stage: UUID) -> UUID | None:
    """The pipeline of a stage."""
    found: UUID | None = await c.fetchval(SQL["pipeline_of"], stage)
    return found


async def results(c: Connection, pipeline: UUID, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Results of the completed stages among ``names``."""
    rows = await c.fetch(SQL["results"], pipeline, list(names))
    return {row["name"]: msgspec.json.decode(row["result"]) for row in rows}
