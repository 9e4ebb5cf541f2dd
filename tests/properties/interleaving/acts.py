"""What workers and schedulers may be told to do: from a few small numbers to a call.

A number stands for a place in a list, round and round, with what is most worth choosing in front: so every number is a
choice, and the smaller it is the plainer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import uuid4

from schemas.stage import Claim as Granted
from schemas.stage import ClaimRequest, Completion, Serves
from tests.properties.interleaving.book import S
from tests.properties.interleaving.calls import Call, Claim, Complete, CompleteToWorker, Purge, Release
from tests.properties.interleaving.endings import Said
from tests.properties.interleaving.reference.released import whole
from tests.properties.interleaving.stand import Stand

T = TypeVar("T")
NOWHERE = 2**62


def pick(choices: Sequence[T], number: int, likely: Sequence[T] = ()) -> T:
    """The one with this number; those that are likely stand in front, three times over."""
    row = [*likely, *likely, *likely, *choices]
    return row[number % len(row)]


@dataclass(frozen=True)
class Claims:
    """A worker claims stages, rather queued ones, and rather while it beats; an old job names an earlier dispatch."""

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
        busy = [worker for worker in living if worker in stand.locks.holder]
        return Claim(pick(stand.workers, self.worker, busy or living), tuple(requests), self.wait)


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
        batch = _batch(self.said, stand, likely)
        return Complete(tuple(batch + batch[:1] if self.twice else batch), self.wait)


def _batch(said: list[Said], stand: Stand, likely: Sequence[Granted]) -> list[Completion]:
    """Of two endings of an attempt in one batch nobody says which is the first, so there is one of each."""
    completions = [each.completion(pick(stand.heard, each.attempt, likely)) for each in said]
    return [*{(each.stage, each.attempt, each.lease_token): each for each in completions}.values()]


@dataclass(frozen=True)
class FollowsUp:
    """As before, but rather of those that others wait for; a worker begins these, rather while it beats."""

    said: list[Said]
    worker: int
    serves: Serves

    async def call(self, stand: Stand) -> Call | None:
        if not stand.heard:
            return None
        awaited = {book.holder(at) for book, at in stand.ledger.running() if book.is_awaited(at)}
        likely = [claim for claim in stand.heard if claim.lease_token in awaited]
        living = [worker for worker in stand.workers if stand.ledger.leases[worker].may_claim]
        batch = _batch(self.said, stand, likely * 3)
        return CompleteToWorker(tuple(batch), worker=pick(stand.workers, self.worker, living), serves=self.serves)


@dataclass(frozen=True)
class Releases:
    """A scheduler follows up; one of the pipelines has never been there."""

    pipelines: list[int]
    batch: int
    wait: bool

    async def call(self, stand: Stand) -> Call | None:
        ids = [*stand.ledger.books, NOWHERE]
        likely = [book.id for book in stand.ledger.books.values() if whole(book, stand.ledger) or book.untold]
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
        if isinstance(again, Claim | Complete | Release | Purge) and not isinstance(again, CompleteToWorker):
            return replace(again, wait=self.wait)
        return again
