"""Hold what Postgres answers and stores against what the reference foresees."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from schemas.event import EventType
from schemas.stage import Released, Transition
from tests.properties.interleaving.book import Book
from tests.properties.interleaving.calls import WHOLE, Call, Release
from tests.properties.interleaving.reference.foreseen import Foreseen, New, P, S, settlement
from tests.properties.interleaving.rows import Rows
from tests.properties.simulation.model.records import Event
from tests.properties.simulation.witness import rows as recount
from tests.properties.simulation.witness.history import TERMINAL

COMPARABLE: dict[str, Callable[[Any], Any]] = {
    "begun": lambda answer: {(c.stage, c.attempt, c.failures) for c in answer.claims},
    "left": lambda answer: {hint.pipeline_id for hint in answer.hints if hint.releasable},
    "claims": lambda claims: {(c.stage, c.attempt, c.lease_token, c.failures) for c in claims},
    "stale": sorted,
    "locked": lambda groups: {group if isinstance(group, int) else frozenset(group) for group in groups},
    "cancelled": set,
    "fenced": set,
    "strangers": lambda strangers: {each.lease_token for each in strangers},
}


def same(what: str, found: Any, expected: Any) -> None:
    """They must be equal."""
    assert found == expected, f"{what}: {found}\n  in the order of commits: {expected}"


def check_answer(call: Call, foreseen: Foreseen, answer: Any) -> None:
    """The fields of an answer that do not wait for the commit."""
    name = type(call).__name__
    if foreseen.answer is None or answer is None:
        same(f"{name} answered", answer, foreseen.answer)
        return
    for key, expected in foreseen.answer.items():
        told = answer if key in {"was", "expired", "begun", "left"} else getattr(answer, key)
        same(f"{name} answered {key}", COMPARABLE.get(key, lambda value: value)(told), expected)


def check_news(call: Call, book: Book, foreseen: list[New], events: list[Event], answer: Any) -> None:
    """The events of one pipeline that a commit has added."""
    news = [event[1:] for event in events]
    if isinstance(call, Release) and call.batch < WHOLE:
        settles = {new for new in news if new[1] is None}
        assert set(news) - settles <= set(foreseen), f"released {news}, and there was only {foreseen} to do"
        if book.id in answer.more:
            return
    same(f"the events of {type(call).__name__}", sorted(news, key=repr), sorted(foreseen, key=repr))


def check_rows(book: Book, rows: Rows) -> None:
    """What is stored agrees with what has been told, counted anew."""
    pipeline = rows.as_pipeline(book.plans)
    recount.compare(pipeline, book.history)
    outcomes = [[attempt.outcome for attempt in stage.attempts] for stage in pipeline.stages]
    same("the outcomes", outcomes, [stage.outcomes for stage in book.history.stages])
    same("to be told", untold(rows), book.untold)
    for position, row in enumerate(rows.stages):
        same(f"the lease token of stage {position}", row.lease_token, book.holder(position))
        if row.status is S.RUNNING:
            same(f"the worker of stage {position}", row.worker, book.worker(position))
        if row.status not in TERMINAL:
            same(f"stage {position} is to be cancelled", row.cancel_asked, position in book.cancel_asked)
            counts = book.failures(position), book.losses(position)
            same(f"errors and losses of stage {position}", (row.failures, row.losses), counts)
            assert counts[0] <= book.plans[position].max_retries, f"stage {position} goes on after {counts[0]} errors"


def check_more(call: Release, handled: int, answer: Released, books: dict[int, Book]) -> None:
    """A pass ends early only when it has told of a whole batch, and it settles whatever has ended."""
    if answer.more:
        same("more", (call.batch < WHOLE, set(answer.more)), (True, set(books)))
        assert handled >= call.batch, f"a release of {call.batch} gave up after {handled}"
    for book in books.values():
        assert not settlement(book.status, book.statuses(), book.plans), (
            f"pipeline {book.id} has ended and is {book.status}"
        )


def untold(rows: Rows) -> set[int]:
    """Stages that have ended and have not told their dependents."""
    return {at for at, row in enumerate(rows.stages) if row.status in TERMINAL and not row.propagated}


def check_transition(
    answer: Transition, told: dict[int, list[Event]], books: dict[int, Book], *, is_held_back: bool
) -> None:
    """Who is to be woken, and what is to be dispatched."""
    if getattr(answer, "refused", None) is None:
        news = {(i, books[i].uuid, books[i].history.seq) for i, events in told.items() if events}
        same("hints", {(hint.pipeline_id, hint.pipeline, hint.seq) for hint in answer.hints}, news)
    queued = {stage for i, events in told.items() for stage in _to_dispatch(books[i], events) if not is_held_back}
    begun = {claim.stage for claim in getattr(answer, "claims", ())}
    if begun and begun == _queued(told, books):
        queued = set()
    same("to be dispatched", {(job.stage, job.dispatch_token) for job in answer.queued}, queued)
    assert len(answer.queued) == len(queued), f"some are dispatched twice: {answer.queued}"


def _queued(told: dict[int, list[Event]], books: dict[int, Book]) -> set[UUID]:
    return {
        books[i].stages[e.position] for i, events in told.items() for e in events if e.type is EventType.STAGE_QUEUED
    }


def _to_dispatch(book: Book, events: list[Event]) -> set[tuple[UUID, int]]:
    places = {e.position for e in events if e.type is EventType.STAGE_QUEUED and book.status is P.RUNNING}
    if any(event.type is EventType.PIPELINE_RESUMED for event in events):
        places |= {at for at, status in enumerate(book.statuses()) if status is S.QUEUED}
    return {(book.stages[at], book.stage(at).queued) for at in places if at is not None}
