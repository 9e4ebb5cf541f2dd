"""A release pass: what it may do, and when it may stop."""

from typing import Any

from tests.properties.interleaving.book import Book
from tests.properties.interleaving.calls import Release
from tests.properties.interleaving.ledger import Ledger
from tests.properties.interleaving.reference.foreseen import Foreseen, New, P, S, advance, queued, settlement


def release(call: Release, ledger: Ledger, got: set[Any]) -> Foreseen:
    """A whole pass; one in small batches may do a part of it. What is not there is left out as if it were locked."""
    there = [ledger.books[i] for i in call.ids if i in got and i in ledger.books]
    locked = set(call.ids).difference(book.id for book in there)
    return Foreseen({"locked": locked}, {book.id: whole(book) for book in there})


def due(book: Book) -> list[New]:
    """Retries that have waited long enough."""
    return [queued(at) for at, status in enumerate(book.statuses()) if status is S.RETRYING and at not in book.later]


def whole(book: Book) -> list[New]:
    """The events of a pass that leaves nothing behind."""
    statuses, news = book.statuses(), []
    if book.status in {P.RUNNING, P.PAUSED}:
        news = advance(book.plans, statuses) + due(book)
    return news + settlement(book.status, statuses, book.plans)
