"""A release pass: what it may do, and when it may stop."""

from typing import Any

from schemas.event import EventType as E
from tests.properties.interleaving.book import Book
from tests.properties.interleaving.calls import Release
from tests.properties.interleaving.ledger import Ledger
from tests.properties.interleaving.reference.foreseen import Foreseen, New, P, S, advance, of_stage, settlement


def release(call: Release, ledger: Ledger, got: set[Any]) -> Foreseen:
    """A whole pass; one in small batches may do a part of it. What is not there is left out as if it were locked."""
    there = [ledger.books[i] for i in call.ids if i in got and i in ledger.books]
    locked = set(call.ids).difference(book.id for book in there)
    return Foreseen({"locked": locked}, {book.id: whole(book, ledger) for book in there})


def due(book: Book) -> list[New]:
    """Retries that have waited long enough."""
    waiting = {at for at, status in enumerate(book.statuses()) if status is S.RETRYING}
    return [of_stage(E.STAGE_QUEUED, at) for at in sorted(waiting - book.later)]


def whole(book: Book, ledger: Ledger) -> list[New]:
    """The events of a pass that leaves nothing behind."""
    statuses, news = book.statuses(), []
    if book.status is P.RUNNING and not ledger.queue_is_paused:
        for at in sorted(book.impatient):
            statuses[at] = S.FAILED
            news.append(of_stage(E.STAGE_FAILED, at, book.stage(at).attempt))
    if book.status in {P.RUNNING, P.PAUSED}:
        news += advance(book.plans, statuses) + due(book)
    return news + settlement(book.status, statuses, book.plans)
