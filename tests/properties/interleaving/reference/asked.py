"""What clients ask of one pipeline."""

from collections.abc import Callable

from schemas.event import EventType as E
from tests.properties.interleaving.book import Book
from tests.properties.interleaving.reference.foreseen import (
    WENT_WRONG,
    Foreseen,
    New,
    P,
    S,
    advance,
    of_pipeline,
    settlement,
)
from tests.properties.simulation.model.records import StagePlan
from tests.properties.simulation.witness.history import TERMINAL

WAITING = (S.PENDING, S.QUEUED, S.RETRYING)
SETTLED = {E.PIPELINE_COMPLETED: P.COMPLETED, E.PIPELINE_FAILED: P.FAILED, E.PIPELINE_CANCELLED: P.CANCELLED}


def create(plans: list[StagePlan], *, starts: bool) -> list[New]:
    """The first events."""
    return [of_pipeline(E.PIPELINE_CREATED), *(_begin(plans, [S.PENDING] * len(plans)) if starts else [])]


def _begin(plans: list[StagePlan], statuses: list[S]) -> list[New]:
    return [of_pipeline(E.PIPELINE_STARTED), *advance(plans, statuses)]


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
    stopped: list[New] = [(E.STAGE_CANCELLED, at, 0, None) for at, status in enumerate(before) if status in WAITING]
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


def retry(book: Book) -> Foreseen:
    """failed | cancelled → running, once it has settled: what went wrong begins again, and all that waits for it."""
    settles = settlement(book.status, book.statuses(), book.plans)
    status = SETTLED[settles[0][0]] if settles else book.status
    if status not in {P.FAILED, P.CANCELLED}:
        return Foreseen({"refused": status}, {book.id: settles})
    statuses = book.statuses()
    for at, plan in enumerate(book.plans):
        waits_for_one = any(statuses[awaited] is S.PENDING for awaited in plan.dependencies)
        if statuses[at] in WENT_WRONG or waits_for_one:
            statuses[at] = S.PENDING
    news = _begin(book.plans, statuses)
    return _accepted(book, settles + news + settlement(P.RUNNING, statuses, book.plans))


def cancel_stage(book: Book, position: int) -> Foreseen:
    """→ cancelled, at once if it waits; what runs is stopped by its worker."""
    status = book.statuses()[position]
    if status in TERMINAL:
        return Foreseen({"refused": status})
    if book.status is P.PENDING:
        return Foreseen({"refused": book.status})
    return _accepted(book, [] if status is S.RUNNING else [(E.STAGE_CANCELLED, position, 0, None)])


def _accepted(book: Book, news: list[New]) -> Foreseen:
    return Foreseen({"refused": None}, {book.id: news})


VERBS: dict[str, Callable[[Book], Foreseen]] = {
    "start": start,
    "cancel": cancel,
    "pause": pause,
    "resume": resume,
    "retry": retry,
}


def ask(verb: str, book: Book | None) -> Foreseen:
    """Any of them, of a pipeline that may not be there."""
    return VERBS[verb](book) if book else Foreseen(answer=None)


def delete(book: Book | None) -> Foreseen:
    """Answers what it was, deleted or not."""
    return Foreseen({"was": book.status} if book else None)
