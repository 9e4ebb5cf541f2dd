"""A completion that is followed up in its own transaction: where it is little, and for one worker."""

from collections import Counter
from typing import Any

from schemas.event import EventType as E
from schemas.queue import Queue, Slot
from tests.properties.interleaving.book import Book
from tests.properties.interleaving.calls import DEPENDENTS_MAX, PIPELINES_MAX, CompleteToWorker
from tests.properties.interleaving.ledger import Ledger
from tests.properties.interleaving.reference.attempts import complete
from tests.properties.interleaving.reference.foreseen import Foreseen, New, P, S, of_stage, settlement, verdict

BECOMES = {
    E.STAGE_COMPLETED: S.COMPLETED,
    E.STAGE_FAILED: S.FAILED,
    E.STAGE_CANCELLED: S.CANCELLED,
}


def complete_to_worker(call: CompleteToWorker, ledger: Ledger, got: set[Any]) -> Foreseen:
    """What ended is told, once and to its own dependents only; who follows those up is told to look."""
    foreseen = complete(call, ledger, got)
    assert foreseen.answer is not None
    foreseen.is_followed_up = is_little(call, ledger)
    begun: set[Any] = set()
    if foreseen.is_followed_up:
        told = {i: _tell(ledger.books[i], foreseen.news[i]) for i in sorted(foreseen.news)}
        for i, news in told.items():
            foreseen.news[i] += news
        begun = _begin(call, ledger, told, foreseen)
    types = {new[0] for news in foreseen.news.values() for new in news}
    is_left = not foreseen.is_followed_up or not types.isdisjoint({E.STAGE_SKIPPED, E.STAGE_RETRYING})
    foreseen.answer |= {"begun": begun, "left": set(foreseen.news) if is_left else set()}
    return foreseen


def is_little(call: CompleteToWorker, ledger: Ledger) -> bool:
    """Whether few pipelines and dependents are concerned, whatever becomes of them."""
    found = [place for stage in set(call.stages()) if (place := ledger.find(stage))]
    dependents = sum(at in plan.dependencies for book, at in found for plan in book.plans)
    return 0 < len({book.id for book, _ in found}) <= PIPELINES_MAX and dependents <= DEPENDENTS_MAX


def _tell(book: Book, ended: list[New]) -> list[New]:
    """What ended before and was not told is none of its business, so it counts as under way."""
    now = {at: BECOMES[event] for event, at, *_ in ended if at is not None and event is not E.STAGE_RETRYING}
    after = [now.get(at, status) for at, status in enumerate(book.statuses())]
    known = [S.RUNNING if at in book.untold else status for at, status in enumerate(after)]
    news: list[New] = []
    for at, plan in enumerate(book.plans):
        if after[at] is S.PENDING and not now.keys().isdisjoint(plan.dependencies):
            after[at] = verdict(book.plans, at, known)
            if after[at] is not S.PENDING:
                news.append(of_stage(E.STAGE_QUEUED if after[at] is S.QUEUED else E.STAGE_SKIPPED, at))
    return news + (settlement(book.status, after, book.plans) if now else [])


def _begin(call: CompleteToWorker, ledger: Ledger, told: dict[int, list[New]], foreseen: Foreseen) -> set[Any]:
    """The first of what was queued, as many of each kind as are free, if they may start."""
    free = Counter({Slot.INLINE: call.serves.inline, Slot.PROCESS: call.serves.process})
    may_start = ledger.leases[call.worker].may_claim and not ledger.queue_is_paused
    serves = Queue.DEFAULT in call.serves.queues and "noop" in call.serves.tasks
    begun: set[Any] = set()
    queued = [(ledger.books[i], at) for i, news in told.items() for event, at, *_ in news if event is E.STAGE_QUEUED]
    for book, at in queued:
        free[book.slots[at]] -= 1
        if serves and may_start and free[book.slots[at]] >= 0 and book.status is P.RUNNING:
            attempt = book.stage(at).attempt + 1
            foreseen.news[book.id].append(of_stage(E.STAGE_STARTED, at, attempt))
            begun.add((book.stages[at], attempt, book.failures(at)))
    return begun
