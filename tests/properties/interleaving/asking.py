"""What clients and operators may be told to do; as in ``acts.py``."""

from dataclasses import dataclass

from tests.properties.interleaving.acts import NOWHERE, pick
from tests.properties.interleaving.book import P, S
from tests.properties.interleaving.calls import Ask, AskOfStage, Call, Create, Delete, Purge
from tests.properties.interleaving.kinds import KINDS
from tests.properties.interleaving.reference.foreseen import WENT_WRONG
from tests.properties.interleaving.stand import Stand

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


@dataclass(frozen=True)
class Creates:
    """A client submits a pipeline."""

    kind: str
    start: bool

    async def call(self, _stand: Stand) -> Call | None:
        return Create.of(KINDS[self.kind](start=self.start, max_retries=1))


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
class AsksOfStage:
    """A client asks to cancel or to retry a stage, rather one where it fits."""

    stage: int
    verb: str

    async def call(self, stand: Stand) -> Call | None:
        stages = [(book, at) for book in stand.ledger.books.values() for at in range(len(book.stages))]
        if not stages:
            return None
        fitting = WENT_WRONG if self.verb == "retry" else (S.QUEUED, S.RUNNING, S.RETRYING)
        book, at = pick(stages, self.stage, [(book, at) for book, at in stages if book.stage(at).status in fitting])
        return AskOfStage(self.verb, book.uuid, book.stages[at])


@dataclass(frozen=True)
class Purges:
    """A client cancels what is queued."""

    pipelines: list[int]
    wait: bool

    async def call(self, stand: Stand) -> Call | None:
        ids = [*stand.ledger.books, NOWHERE]
        return Purge(tuple(dict.fromkeys(pick(ids, number) for number in self.pipelines)), self.wait)


@dataclass(frozen=True)
class Waits:
    """Hours pass for a pipeline, and the queue is not paused for ever."""

    pipeline: int

    async def call(self, stand: Stand) -> Call | None:
        if stand.ledger.queue_is_paused:
            await stand.turn_queue()
        if books := [*stand.ledger.books.values()]:
            await stand.let_hours_pass(pick(books, self.pipeline))


@dataclass(frozen=True)
class TurnsQueue:
    """An operator pauses the queue, or resumes it."""

    async def call(self, stand: Stand) -> Call | None:
        await stand.turn_queue()
