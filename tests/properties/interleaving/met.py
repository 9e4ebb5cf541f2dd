"""What a step of a schedule has met: see ``sometimes.py`` for how often each must be."""

from collections.abc import Iterator
from typing import Any

from schemas.event import EventType as E
from schemas.states import Outcome
from tests.properties.interleaving.book import Book, P, S
from tests.properties.interleaving.calls import (
    Ask,
    AskOfStage,
    Beat,
    Call,
    Claim,
    Complete,
    CompleteToWorker,
    Purge,
    Release,
)
from tests.properties.interleaving.ledger import Ledger
from tests.properties.interleaving.reference.foreseen import Foreseen
from tests.properties.simulation.model.records import Event


def met_at_start(call: Call, *, waits: bool) -> Iterator[str]:
    """A call has been sent."""
    if waits:
        yield "waits"
        yield f"waits_{_name(call)}"


def _name(call: Call) -> str:
    if isinstance(call, AskOfStage):
        return f"{call.verb}_stage"
    return call.verb if isinstance(call, Ask) else type(call).__name__.lower()


def met_at_answer(call: Call, foreseen: Foreseen, answer: Any, ledger: Ledger) -> Iterator[str]:
    """A call has been answered."""
    if foreseen.answer is None:
        if isinstance(call, Ask | AskOfStage):
            yield "pipeline_gone"
        return
    if getattr(answer, "locked", None):
        yield "left_out"
    if getattr(answer, "more", None):
        yield "released_in_part"
    if isinstance(call, Claim):
        yield from _met_by_claim(call, foreseen, ledger)
    elif isinstance(call, Complete):
        yield from _met_by_completion(call, foreseen, answer)
        if isinstance(call, CompleteToWorker):
            yield from _met_by_follow_up(call, foreseen, ledger)
    elif isinstance(call, Beat):
        yield from (f"beat_{key}" for key in ("lost", "cancelled", "fenced", "strangers") if foreseen.answer.get(key))
    elif isinstance(call, Ask | AskOfStage):
        yield f"{_name(call)}_{'refused' if foreseen.answer['refused'] else 'accepted'}"


def _met_by_claim(call: Claim, foreseen: Foreseen, ledger: Ledger) -> Iterator[str]:
    assert foreseen.answer is not None
    if foreseen.answer["worker_lost"]:
        yield "claim_without_a_lease"
        return
    granted = {grant[2] for grant in foreseen.answer["claims"]}
    begun = sum(map(len, foreseen.news.values()))
    if len(granted) > begun:
        yield "claim_repeated"
    locked = {stage for group in foreseen.answer["locked"] for stage in group}
    for request in call.requests:
        found = ledger.find(request.stage)
        if found and request.lease_token not in granted and request.stage not in locked:
            book, at = found
            is_held_back = ledger.queue_is_paused
            yield "claim_refused_by_queue" if is_held_back else _why_refused(book, at, request.dispatch_token)


def _why_refused(book: Book, position: int, dispatch_token: int) -> str:
    stage = book.stage(position)
    if stage.queued != dispatch_token:
        return "claim_refused_old_job"
    if stage.status is S.QUEUED and book.status is P.PAUSED:
        return "claim_refused_by_pause"
    if stage.status is S.CANCELLED:
        return "claim_refused_by_cancel"
    return "claim_refused_by_another" if stage.status is S.RUNNING else "claim_refused_otherwise"


def _met_by_completion(call: Complete, foreseen: Foreseen, answer: Any) -> Iterator[str]:
    if answer.stale:
        yield "stale"
    applied = sum(map(len, foreseen.news.values()))
    locked = sum(map(len, answer.locked))
    if applied + len(answer.stale) + locked < len(call.completions):
        yield "completion_repeated"
    for said in call.completions:
        if said.stage in answer.stale and said.outcome is Outcome.LOST:
            yield "rescue_too_late"


def _met_by_follow_up(call: CompleteToWorker, foreseen: Foreseen, ledger: Ledger) -> Iterator[str]:
    assert foreseen.answer is not None
    types = [new[0] for news in foreseen.news.values() for new in news]
    begun, queued = types.count(E.STAGE_STARTED), types.count(E.STAGE_QUEUED)
    if foreseen.news and not foreseen.is_followed_up:
        yield "too_much_to_follow_up"
    if not foreseen.is_followed_up:
        return
    if begun:
        yield "begun_at_once"
    if 0 < begun < queued:
        yield "begun_in_part"
    if queued and not begun:
        yield "followed_up_and_not_begun"
    if queued and not ledger.leases[call.worker].may_claim:
        yield "followed_up_without_a_lease"
    if E.STAGE_SKIPPED in types:
        yield "skipped_at_once"
    if {E.PIPELINE_COMPLETED, E.PIPELINE_FAILED, E.PIPELINE_CANCELLED}.intersection(types):
        yield "settled_at_once"


def met_at_commit(call: Call, book: Book, events: list[Event]) -> Iterator[str]:
    """A call has had consequences; the book does not know of them yet."""
    types = [event.type for event in events]
    if isinstance(call, Ask) and call.verb == "retry" and len(types) > 1 and types[1] is E.PIPELINE_STARTED:
        yield "retry_settled_first"
    for event in events:
        if event.outcome is Outcome.LOST:
            yield "lost"
        elif event.type is E.STAGE_FAILED and event.outcome is None:
            yield "given_up"
        elif event.type is E.STAGE_COMPLETED and book.status is P.CANCELLING:
            yield "completed_while_cancelling"
        elif event.type in {E.STAGE_SKIPPED, E.PIPELINE_COMPLETED, E.PIPELINE_FAILED, E.PIPELINE_CANCELLED}:
            yield event.type.replace(".", "_")
    if isinstance(call, Purge) and events:
        yield "purged"
    if isinstance(call, Release) and book.status is P.PAUSED and E.STAGE_QUEUED in types:
        yield "released_while_paused"
