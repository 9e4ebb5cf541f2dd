"""What a client may be told to do: from a few small numbers to a call.

A number stands for a place in a list, round and round, with what is most worth choosing in front: so every number is a
choice, and the smaller it is the plainer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import uuid4

from schemas.stage import ClaimRequest
from schemas.states import TriggerRule
from tests.properties.interleaving.book import P, S
from tests.properties.interleaving.calls import Ask, Call, CancelStage, Claim, Complete, Create, Delete, Release
from tests.properties.interleaving.endings import Said
from tests.properties.interleaving.reference.released import whole
from tests.properties.interleaving.stand import Stand
from tests.support.pipelines import Shape, a_plan

T = TypeVar("T")
NOWHERE = 2**62
RULES = {
    "lint": {"allow_failure": True},
    "alert": {"trigger_rule": TriggerRule.ANY_FAILED},
    "cleanup": {"trigger_rule": TriggerRule.ALL_DONE},
}
"""Of the stages of these names."""
ASKED = ["start", "cancel", "pause", "resume", "retry", "delete"]
FITTING = {
    P.PENDING: ["start"],
    P.RUNNING: ["pause", "pause", "cancel"],
    P.PAUSED: ["resume", "resume", "cancel"],
    P.CANCELLING: ["cancel", "retry"],
    P.COMPLETED: ["retry", "delete"],
    P.FAILED: ["retry", "retry", "delete"],
    P.CANCELLED: ["retry", "retry", "delete"],
}


def pick(choices: Sequence[T], number: int, likely: Sequence[T] = ()) -> T:
    """The one with this number; those that are likely stand in front, three times over."""
    row = [*likely, *likely, *likely, *choices]
    return row[number % len(row)]


@dataclass(frozen=True)
class Creates:
    """A client submits a pipeline."""

    shape: Shape
    start: bool

    async def call(self, _stand: Stand) -> Call | None:
        of = {name: RULES[name] for name in self.shape if name in RULES}
        return Create.of(a_plan(self.shape, start=self.start, max_retries=1, of=of))


@dataclass(frozen=True)
class Asks:
    """A client asks something of a pipeline: rather of one that is locked, and rather what fits."""

    pipeline: int
    verb: int

    async def call(self, stand: Stand) -> Call | None:
        books = [*stand.ledger.books.values()]
        if not books:
            return None
        book = pick(books, self.pipeline, [book for book in books if book.id in stand.locks.holder])
        verb = pick(ASKED, self.verb, FITTING[book.status])
        return Delete(book.uuid) if verb == "delete" else Ask(verb, book.uuid)


@dataclass(frozen=True)
class CancelsStage:
    """A client cancels a stage, rather one that has not ended."""

    stage: int

    async def call(self, stand: Stand) -> Call | None:
        places = [(book, at) for book in stand.ledger.books.values() for at in range(len(book.stages))]
        if not places:
            return None
        open_ = [(book, at) for book, at in places if book.statuses()[at] in {S.QUEUED, S.RUNNING, S.RETRYING}]
        book, at = pick(places, self.stage, open_)
        return CancelStage(book.stages[at])


@dataclass(frozen=True)
class Claims:
    """A worker claims stages, rather queued ones; an old job names the dispatch before the last."""

    worker: int
    stages: list[int]
    old_job: bool
    wait: bool

    async def call(self, stand: Stand) -> Call | None:
        stages = [
            (book.stages[at], stage)
            for book in stand.ledger.books.values()
            for at, stage in enumerate(book.history.stages)
        ]
        if not stages:
            return None
        queued = [each for each in stages if each[1].status is S.QUEUED]
        chosen = dict(pick(stages, number, queued) for number in self.stages)
        requests = [ClaimRequest(uuid, stage.queued - self.old_job, uuid4()) for uuid, stage in chosen.items()]
        living = [worker for worker in stand.workers if stand.ledger.leases[worker].may_claim]
        return Claim(pick(stand.workers, self.worker, living), tuple(requests), self.wait)


@dataclass(frozen=True)
class Completes:
    """Workers say how attempts have ended: rather those that run, but all that anybody was ever told of."""

    said: list[Said]
    twice: bool
    wait: bool

    async def call(self, stand: Stand) -> Call | None:
        if not stand.heard:
            return None
        running = {book.holder(at) for book, at in stand.ledger.running()}
        likely = [claim for claim in stand.heard if claim.lease_token in running]
        completions = [each.completion(pick(stand.heard, each.attempt, likely)) for each in self.said]
        batch = [*{(each.stage, each.attempt, each.lease_token): each for each in completions}.values()]
        return Complete(tuple(batch + batch[:1] if self.twice else batch), self.wait)


@dataclass(frozen=True)
class Releases:
    """A scheduler follows up; one of the pipelines has never been there."""

    pipelines: list[int]
    batch: int
    wait: bool

    async def call(self, stand: Stand) -> Call | None:
        ids = [*stand.ledger.books, NOWHERE]
        likely = [book.id for book in stand.ledger.books.values() if whole(book) or book.untold]
        chosen = dict.fromkeys(pick(ids, number, likely) for number in self.pipelines)
        return Release(tuple(chosen), self.batch, self.wait)


@dataclass(frozen=True)
class Repeats:
    """A call comes again: its answer was lost, or whoever sent it does not remember. The last one first."""

    call_before: int
    wait: bool

    async def call(self, stand: Stand) -> Call | None:
        if not stand.sent:
            return None
        again = pick(stand.sent[::-1], self.call_before)
        return replace(again, wait=self.wait) if isinstance(again, Claim | Complete | Release) else again
