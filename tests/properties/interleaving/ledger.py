"""All that is committed: the pipelines' books and the workers' leases, and which locks a call needs there."""

from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from tests.properties.interleaving.book import Book
from tests.properties.interleaving.calls import (
    Ask,
    AskOfStage,
    Beat,
    Call,
    Claim,
    Complete,
    Create,
    Delete,
    Expire,
    Leave,
    Purge,
    Release,
)
from tests.properties.interleaving.locks import Lock

BEATING = ("live", "draining")


@dataclass
class Lease:
    """Of a worker. It has lapsed when its time is over, whether or not anybody has taken it."""

    state: str = "live"
    has_lapsed: bool = False

    @property
    def beats(self) -> bool:
        """Whether it can be renewed."""
        return self.state in BEATING

    @property
    def may_claim(self) -> bool:
        """Whether its worker may begin attempts."""
        return self.state == "live" and not self.has_lapsed


class Needs(NamedTuple):
    """The locks of a call, in their order, and whether it waits for those that somebody else holds."""

    locks: list[Lock]
    patient: bool


@dataclass
class Ledger:
    """What a serial execution of the committed calls would have led to."""

    books: dict[int, Book] = field(default_factory=dict)
    leases: dict[UUID, Lease] = field(default_factory=dict)
    stages: dict[UUID, tuple[Book, int]] = field(default_factory=dict)
    queue_is_paused: bool = False  # the only one that is used

    def open(self, book: Book) -> None:
        """A pipeline has been created."""
        self.books[book.id] = book
        self.stages |= {stage: (book, position) for position, stage in enumerate(book.stages)}

    def close(self, book: Book) -> None:
        """It has been deleted."""
        del self.books[book.id]
        for stage in book.stages:
            del self.stages[stage]

    def find(self, stage: UUID) -> tuple[Book, int] | None:
        """The pipeline and the position of a stage."""
        return self.stages.get(stage)

    def named(self, uuid: UUID) -> Book | None:
        """The pipeline of this name."""
        return next((book for book in self.books.values() if book.uuid == uuid), None)

    def needs(self, call: Call) -> Needs:
        """What a call has to lock before it may act."""
        if isinstance(call, Claim | Complete):
            ids = sorted({found[0].id for stage in call.stages() if (found := self.find(stage))})
            return Needs([*ids], patient=call.wait or len(ids) == 1)
        if isinstance(call, Release | Purge):
            return Needs(sorted(set(call.ids).intersection(self.books)), patient=call.wait or len(call.ids) == 1)
        if isinstance(call, Expire):
            return Needs([*self.expired()], patient=False)
        return Needs(self._needs_of_one(call), patient=True)

    def _needs_of_one(self, call: Create | Ask | AskOfStage | Delete | Beat | Leave) -> list[Lock]:
        if isinstance(call, Create):
            return []
        if isinstance(call, Beat | Leave):
            lease = self.leases.get(call.worker)
            return [call.worker] if lease and lease.beats else []
        book = self.named(call.uuid)
        return [book.id] if book else []

    def expired(self) -> list[UUID]:
        """Workers whose lease may be taken."""
        return [worker for worker, lease in self.leases.items() if lease.beats and lease.has_lapsed]

    def running(self) -> list[tuple[Book, int]]:
        """Stages that run."""
        return [
            (book, at) for book in self.books.values() for at, stage in enumerate(book.history.stages) if stage.is_open
        ]
