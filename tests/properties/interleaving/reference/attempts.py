"""Batches of claims and completions: each of them judged alone, as if it were the only one."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from schemas.event import EventType as E
from schemas.stage import Completion
from schemas.states import Outcome
from tests.properties.interleaving.book import Book
from tests.properties.interleaving.calls import Claim, Complete
from tests.properties.interleaving.ledger import Ledger
from tests.properties.interleaving.reference.foreseen import Foreseen, New, P, S, of_stage

TOLD_AS = {
    S.COMPLETED: E.STAGE_COMPLETED,
    S.RETRYING: E.STAGE_RETRYING,
    S.FAILED: E.STAGE_FAILED,
    S.CANCELLED: E.STAGE_CANCELLED,
}


def left_out(ledger: Ledger, stages: Iterable[UUID], got: set[Any]) -> set[frozenset[UUID]]:
    """The stages whose pipelines somebody else holds, together with their siblings."""
    by_pipeline: dict[int, set[UUID]] = {}
    for stage in stages:
        if (found := ledger.find(stage)) and found[0].id not in got:
            by_pipeline.setdefault(found[0].id, set()).add(stage)
    return {frozenset(siblings) for siblings in by_pipeline.values()}


def claim(call: Claim, ledger: Ledger, got: set[Any]) -> Foreseen:
    """Grants what is queued under that dispatch token in a running pipeline, and what that lease token was granted."""
    lease = ledger.leases.get(call.worker)
    if not lease or not lease.may_claim:
        return Foreseen({"worker_lost": True, "claims": set(), "locked": set()})
    news: dict[int, list[New]] = {}
    granted = set()
    for request in call.requests:
        found = ledger.find(request.stage)
        if not found or found[0].id not in got:
            continue
        book, position = found
        stage, failures = book.stage(position), book.failures(position)
        is_there = book.status is P.RUNNING and not ledger.queue_is_paused and stage.status is S.QUEUED
        is_there = is_there and request.dispatch_token == stage.queued
        if is_there:
            news.setdefault(book.id, []).append(of_stage(E.STAGE_STARTED, position, stage.attempt + 1))
        if is_there or book.holder(position) == request.lease_token:
            granted.add((request.stage, stage.attempt + is_there, request.lease_token, failures))
    locked = left_out(ledger, call.stages(), got)
    return Foreseen({"worker_lost": False, "claims": granted, "locked": locked}, news)


def complete(call: Complete, ledger: Ledger, got: set[Any]) -> Foreseen:
    """Ends the attempts that hold their stages; stale is what does not say how its attempt has ended, now or before."""
    news: dict[int, list[New]] = {}
    stale, ended, refuses_data = [], {}, False
    for said in call.completions:
        found = ledger.find(said.stage)
        if found and found[0].id in got and _holds(*found, said) and said.lease_token not in ended:
            ended[said.lease_token] = said.outcome
            news.setdefault(found[0].id, []).append(_ended(*found, said))
            refuses_data |= said.outcome is Outcome.COMPLETED and not isinstance(said.result, dict)
    for said in call.completions:
        found = ledger.find(said.stage)
        if found is None or (found[0].id in got and _recorded(*found, said, ended) is not said.outcome):
            stale.append(said.stage)
    locked = left_out(ledger, call.stages(), got)
    return Foreseen({"stale": sorted(stale), "locked": locked}, news, refuses_data)


def _recorded(book: Book, position: int, said: Completion, ended: dict[UUID, Outcome]) -> Outcome | None:
    if _holds(book, position, said):
        return ended[said.lease_token]
    return book.outcome(position, said.attempt, said.lease_token)


def _holds(book: Book, position: int, said: Completion) -> bool:
    return book.holder(position) == said.lease_token and book.stage(position).attempt == said.attempt


def _ended(book: Book, position: int, said: Completion) -> New:
    if said.outcome is Outcome.COMPLETED:
        status = S.COMPLETED
    elif book.status is P.CANCELLING or position in book.cancel_asked:
        status = S.CANCELLED
    elif said.retry_delay_s is not None:
        status = S.RETRYING
    else:
        status = S.CANCELLED if said.outcome is Outcome.CANCELLED else S.FAILED
    return of_stage(TOLD_AS[status], position, said.attempt, said.outcome)
