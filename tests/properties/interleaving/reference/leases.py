"""What a worker hears when it beats, and what the rescuer finds."""

from typing import Any
from uuid import UUID

from schemas.stage import Lost, Overdue
from tests.properties.interleaving.calls import Beat, Expire
from tests.properties.interleaving.ledger import Ledger
from tests.properties.interleaving.reference.foreseen import Foreseen, P


def expire(_call: Expire, ledger: Ledger, got: set[Any]) -> Foreseen:
    """Takes leases that have lapsed, unless somebody is just about to renew them."""
    return Foreseen({"expired": len(got.intersection(ledger.expired()))})


def beat(call: Beat, ledger: Ledger, _got: set[Any]) -> Foreseen:
    """Lease tokens to stop, and attempts that the worker does not know of: where a lease of no seconds has passed."""
    lease = ledger.leases.get(call.worker)
    if not lease or not lease.beats:
        return Foreseen({"lost": True})
    mine = {book.holder(at): (book, at) for book, at in ledger.running() if book.worker(at) == call.worker}
    stopped = {token for token, (book, at) in mine.items() if book.status is P.CANCELLING or at in book.cancel_asked}
    held = {each.lease_token for each in call.held}
    return Foreseen(
        {
            "lost": False,
            "cancelled": held.intersection(stopped),
            "fenced": held.difference(mine),
            "strangers": set() if call.lease_s else set(mine).difference(held),
        }
    )


def lost(ledger: Ledger) -> set[tuple[UUID, int, int]]:
    """Running attempts whose worker is gone: stage, attempt, and how many were lost in a row before."""
    return {
        (book.stages[at], book.stage(at).attempt, book.losses(at))
        for book, at in ledger.running()
        if not ledger.leases[book.worker(at)].beats
    }


def overdue(ledger: Ledger) -> set[tuple[UUID, int, int]]:
    """If every timeout were over: running attempts whose worker lives; stage, attempt, and errors before."""
    living = {worker for worker, lease in ledger.leases.items() if lease.beats and not lease.has_lapsed}
    return {
        (book.stages[at], book.stage(at).attempt, book.failures(at))
        for book, at in ledger.running()
        if book.worker(at) in living
    }


def found_lost(answer: list[Lost]) -> set[tuple[UUID, int, int]]:
    """The same of what Postgres has found."""
    return {(each.stage, each.attempt, each.losses) for each in answer}


def found_overdue(answer: list[Overdue]) -> set[tuple[UUID, int, int]]:
    """The same of what Postgres has found."""
    return {(each.stage, each.attempt, each.failures) for each in answer}
