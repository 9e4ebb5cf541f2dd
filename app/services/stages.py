"""Stages: claim, complete and release, in batches that no stuck client can hold up.

Each batch first takes what nobody else has locked. What was left out follows one pipeline at a time, waiting at most
two seconds for each; a pipeline that stays locked even so is left for the caller to come back to.
"""

import random
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from app.core import references, retry
from app.core.diagnosis import Evidence, diagnose
from app.db import stages as db
from app.db.pool import BAD_DATA, Pool, connection
from schemas.stage import (
    Claim,
    Claimed,
    ClaimRequest,
    Completed,
    CompletedToWorker,
    Completion,
    Lost,
    Overdue,
    Progress,
    QueuedStage,
    Released,
    Serves,
)
from schemas.states import Outcome

RELEASE_BATCH = 500
PIPELINES_MAX, DEPENDENTS_MAX = 2, 200
"""Of a batch of outcomes that is followed up in the same transaction: the locks are held for about 20 ms then."""


async def claim(pool: Pool, worker: UUID, requests: Sequence[ClaimRequest]) -> Claimed:
    """Queued → running for those of the requests that are still there. Repeat it with the same tokens if in doubt."""
    async with connection(pool) as c:
        answer = await db.claim(c, worker, requests, wait=False)
    by_stage, still_locked = {request.stage: request for request in requests}, []
    for of_one_pipeline in answer.locked:
        async with connection(pool) as c:
            late = await db.claim(c, worker, [by_stage[stage] for stage in of_one_pipeline], wait=True)
        still_locked += late.locked
        answer = replace(answer, claims=answer.claims + late.claims, hints=answer.hints + late.hints)
    return replace(answer, locked=still_locked)


async def inputs(pool: Pool, claimed: Claim) -> dict[str, Any]:
    """The params of a claimed stage with every reference replaced by the value it refers to.

    Raises:
        references.UnresolvedReference: a result has no such value; trying again will not help.

    """
    if not claimed.references:
        return claimed.params
    wanted = {parsed.stage for text in claimed.references.values() if (parsed := references.parse(text))}
    async with connection(pool) as c:
        results = await db.results(c, claimed.pipeline, sorted(wanted))
    return references.resolve(claimed.params, claimed.references, results)


async def complete(pool: Pool, completions: Sequence[Completion]) -> Completed:
    """Commit how attempts ended. Repeat it if in doubt: an attempt has one outcome, its first.

    An outcome that Postgres cannot store costs its own stage only: the batch is halved until it stands alone, and it is
    then committed as failed with ``result_invalid``. Stages still in ``locked`` have to be reported again.
    """
    return await complete_locked(pool, completions, await _complete(pool, completions, wait=False))


async def complete_locked(pool: Pool, completions: Sequence[Completion], answer: Completed) -> Completed:
    """Come back for what was locked when this was the answer, one pipeline at a time."""
    still_locked = []
    for of_one_pipeline in map(set, answer.locked):
        late = await _complete(pool, [each for each in completions if each.stage in of_one_pipeline], wait=True)
        still_locked += late.locked
        answer = _together(answer, late)
    return replace(answer, locked=still_locked)


async def complete_to_worker(
    pool: Pool, completions: Sequence[Completion], worker: UUID, serves: Serves
) -> CompletedToWorker:
    """As ``complete``, in one transaction with what it makes possible, if that is little.

    What the worker serves of that is claimed for it. Repeated in doubt it claims nothing again: what it may have
    claimed is handed back by the beats, as nobody holds it.
    """
    try:
        async with connection(pool) as c:
            return await db.complete_to_worker(c, completions, worker, serves, most=(PIPELINES_MAX, DEPENDENTS_MAX))
    except BAD_DATA:
        answer = await complete(pool, completions)
        return CompletedToWorker(hints=answer.hints, locked=answer.locked, stale=answer.stale)


async def _complete(pool: Pool, completions: Sequence[Completion], *, wait: bool) -> Completed:
    try:
        async with connection(pool) as c:
            return await db.complete(c, completions, wait=wait)
    except BAD_DATA:
        if len(completions) == 1:
            failed = _result_invalid(completions[0])
            if failed == completions[0]:
                raise  # not the result is at fault
            return await _complete(pool, [failed], wait=wait)
    middle = len(completions) // 2
    first = await _complete(pool, completions[:middle], wait=wait)
    return _together(first, await _complete(pool, completions[middle:], wait=wait))


def _together(first: Completed, second: Completed) -> Completed:
    return replace(
        first,
        hints=first.hints + second.hints,
        locked=first.locked + second.locked,
        stale=first.stale + second.stale,
    )


def _result_invalid(completion: Completion) -> Completion:
    message = "Postgres cannot store what the stage returned (a NUL character, or a number that is out of range?)."
    return Completion(
        stage=completion.stage,
        attempt=completion.attempt,
        lease_token=completion.lease_token,
        outcome=Outcome.FAILED,
        error={"code": "result_invalid", "message": message},
    )


async def release(pool: Pool, pipeline_ids: Iterable[int]) -> Released:
    """Tell the dependents of what has ended, queue the retries that are due, settle: as often as you like."""
    async with connection(pool) as c:
        answer = await db.release(c, pipeline_ids, batch=RELEASE_BATCH, wait=False)
    still_locked = []
    for pipeline_id in answer.locked:
        async with connection(pool) as c:
            late = await db.release(c, [pipeline_id], batch=RELEASE_BATCH, wait=True)
        still_locked += late.locked
        answer = replace(
            answer,
            hints=answer.hints + late.hints,
            queued=answer.queued + late.queued,
            more=answer.more + late.more,
        )
    return replace(answer, locked=still_locked)


async def releasable(pool: Pool, limit: int) -> list[int]:
    """Pipelines where a lost hint has left something to release or settle."""
    async with connection(pool) as c:
        return await db.releasable(c, limit)


async def due(pool: Pool, limit: int) -> list[int]:
    """Pipelines with a stage whose retry is due, or that has waited too long for a start."""
    async with connection(pool) as c:
        return await db.due(c, limit)


async def queued_after(pool: Pool, after: tuple[datetime, UUID], *, min_age_s: float, limit: int) -> list[QueuedStage]:
    """A page of the queued stages of running pipelines, oldest first."""
    async with connection(pool) as c:
        return await db.queued_after(c, after, min_age_s=min_age_s, limit=limit)


async def rescue(pool: Pool, limit: int) -> Completed:
    """Take back the stages of workers whose lease was taken: they go on elsewhere, at no cost to their budget."""
    async with connection(pool) as c:
        lost = await db.lost(c, limit)
    return await complete(pool, [_as_lost(attempt) for attempt in lost]) if lost else Completed()


async def enforce_timeouts(pool: Pool, lease_timeout_s: float) -> Completed:
    """End the attempts that their workers should have ended long ago."""
    async with connection(pool) as c:
        overdue = await db.overdue(c, lease_timeout_s)
    return await complete(pool, [_as_timed_out(attempt) for attempt in overdue]) if overdue else Completed()


def _as_lost(attempt: Lost) -> Completion:
    losses = attempt.losses + 1
    message = f"The worker {attempt.worker} was lost while it ran this stage"
    error: dict[str, Any] = {"code": "lost_worker", "message": f"{message}."}
    if retry.quarantined(losses):
        error |= {"message": f"{message}, {losses} times in a row.", "losses": losses}
    return Completion(
        stage=attempt.stage,
        attempt=attempt.attempt,
        lease_token=attempt.lease_token,
        outcome=Outcome.LOST,
        error=error,
        retry_delay_s=None if retry.quarantined(losses) else 0,
        costs_retry=False,
        diagnosis=diagnose(Evidence.of(error)),
    )


def _as_timed_out(attempt: Overdue) -> Completion:
    delay_s = retry.next_delay_s(attempt.failures + 1, attempt, retryable=True, jitter=random.random())
    error = {"code": "timed_out", "message": f"The stage ran longer than its timeout of {attempt.timeout_s:g} s."}
    return Completion(
        stage=attempt.stage,
        attempt=attempt.attempt,
        lease_token=attempt.lease_token,
        outcome=Outcome.TIMED_OUT,
        error=error,
        retry_delay_s=delay_s,
        diagnosis=diagnose(Evidence.of(error)),
    )


async def report_progress(pool: Pool, reports: Sequence[Progress]) -> None:
    """Keep the last progress of running attempts."""
    async with connection(pool) as c:
        await db.report_progress(c, reports)


FIRST = db.FIRST
