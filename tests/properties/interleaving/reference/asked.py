"""What clients ask of one pipeline."""

from collections.abc import Callable, Iterable
from typing import Any

from schemas.event import EventType as E
from tests.properties.interleaving.book import Book
from tests.properties.interleaving.calls import Ask, AskOfStage, Delete, Purge
from tests.properties.interleaving.ledger import Ledger
from tests.properties.interleaving.reference.foreseen import (
    WENT_WRONG,
    Foreseen,
    New,
    P,
    S,
    advance,
    of_pipeline,
    of_stage,
    settlement,
)
from tests.properties.simulation.model.records import StagePlan
from tests.properties.simulation.witness.history import TERMINAL

WAITING = (S.PENDING, S.QUEUED, S.RETRYING)
SETTLED = {E.PIPELINE_COMPLETED: P.COMPLETED, E.PIPELINE_FAILED: P.FAILED, E.PIPELINE_CANCELLED: P.CANCELLED}


def create(plans: list[StagePlan], *, starts: bool) -> list[New]:
    """The first events."""
    return [of_pipeline(E.PIPELINE_CREATED), *(_begin(plans, [S.PENDING] * len(plans)) if starts else [])]


def _begin(plans: list[StagePlan], statuses: list[S], retried: Iterable[int] = ()) -> list[New]:
    return [of_pipeline(E.PIPELINE_STARTED, retried), *advance(plans, statuses)]


def start(book: Book) -> Foreseen:
    """pending → running."""
    if book.status is not P.PENDING:
        return Foreseen({"refused": book.status})
    return _accepted(book, _begin(book.plans, book.statuses()))


def cancel(book: Book) -> Foreseen:
    """→ cancelling: what waits is cancelled at once, and with nothing running that is the end."""
    if book.status is P.CANCELLING:
        return _accepted(book, [])
    if book.status not in {P.PENDING, P.RUNNING, P.PAUSED}:
        return Foreseen({"refused": book.status})
    before = book.statuses()
    stopped: list[New] = [of_stage(E.STAGE_CANCELLED, at) for at, status in enumerate(before) if status in WAITING]
    after = [S.CANCELLED if status in WAITING else status for status in before]
    return _accepted(book, [of_pipeline(E.PIPELINE_CANCELLING), *stopped, *settlement(P.CANCELLING, after, book.plans)])


def pause(book: Book) -> Foreseen:
    """running → paused."""
    return _turn(book, P.RUNNING, E.PIPELINE_PAUSED)


def resume(book: Book) -> Foreseen:
    """paused → running."""
    return _turn(book, P.PAUSED, E.PIPELINE_RESUMED)


def _turn(book: Book, fitting: P, event: E) -> Foreseen:
    return _accepted(book, [of_pipeline(event)]) if book.status is fitting else Foreseen({"refused": book.status})


def retry(book: Book, only: int | None = None) -> Foreseen:
    """failed | cancelled → running, once it has settled: what went wrong begins again, with all that waits for it."""
    settles = settlement(book.status, book.statuses(), book.plans)
    status = SETTLED[settles[0][0]] if settles else book.status
    if status not in {P.FAILED, P.CANCELLED}:
        return Foreseen({"refused": status}, {book.id: settles})
    statuses = book.statuses()
    if only is not None and statuses[only] not in WENT_WRONG:
        return Foreseen({"refused": statuses[only]}, {book.id: settles})
    retried = begin_again(book, only)
    for at in retried:
        statuses[at] = S.PENDING
    news = settles + _begin(book.plans, statuses, retried)
    return _accepted(book, news + settlement(P.RUNNING, statuses, book.plans))


def begin_again(book: Book, only: int | None) -> set[int]:
    """What went wrong, or the one that is asked for, and everything that waits for one of these."""
    chosen = {at for at, status in enumerate(book.statuses()) if status in WENT_WRONG} if only is None else {only}
    for at, plan in enumerate(book.plans):
        if chosen.intersection(plan.dependencies):
            chosen.add(at)
    return chosen


def cancel_stage(book: Book, at: int) -> Foreseen:
    """Cancels one stage: now, or by its worker."""
    status = book.statuses()[at]
    if status in TERMINAL or book.status is P.PENDING:
        return Foreseen({"refused": status if status in TERMINAL else S.PENDING})
    return _accepted(book, [] if status is S.RUNNING else [of_stage(E.STAGE_CANCELLED, at)])


def _accepted(book: Book, news: list[New]) -> Foreseen:
    return Foreseen({"refused": None}, {book.id: news})


VERBS: dict[str, Callable[[Book], Foreseen]] = {
    "start": start,
    "cancel": cancel,
    "pause": pause,
    "resume": resume,
    "retry": retry,
}


def ask(call: Ask, ledger: Ledger, _got: set[Any]) -> Foreseen:
    """Any of them, of a pipeline that may not be there."""
    book = ledger.named(call.uuid)
    return VERBS[call.verb](book) if book else Foreseen(answer=None)


def ask_of_stage(call: AskOfStage, ledger: Ledger, _got: set[Any]) -> Foreseen:
    """Cancel or retry a stage that may not be there."""
    found = ledger.find(call.stage)
    if not found:
        return Foreseen(answer=None)
    return retry(*found) if call.verb == "retry" else cancel_stage(*found)


def purge(call: Purge, ledger: Ledger, got: set[Any]) -> Foreseen:
    """Cancels what is queued."""
    there = [ledger.books[i] for i in call.ids if i in got and i in ledger.books]
    news: dict[int, list[New]] = {
        book.id: [of_stage(E.STAGE_CANCELLED, at) for at, status in enumerate(book.statuses()) if status is S.QUEUED]
        for book in there
    }
    locked = set(call.ids).difference(news)
    return Foreseen({"purged": sum(map(len, news.values())), "locked": locked}, news)


def delete(call: Delete, ledger: Ledger, _got: set[Any]) -> Foreseen:
    """Answers what it was, deleted or not."""
    book = ledger.named(call.uuid)
    return Foreseen({"was": book.status} if book else None)
