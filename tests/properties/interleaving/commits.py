"""What a commit has done: read back, held against what was foreseen, and entered into the ledger."""

from typing import Any

from app.core.plan import Plan
from app.db.pool import Session
from tests.properties.interleaving import rows as stored
from tests.properties.interleaving import verify
from tests.properties.interleaving.book import Book
from tests.properties.interleaving.calls import WHOLE, Beat, Call, Create, Delete, Expire, Leave, Release
from tests.properties.interleaving.ledger import Ledger
from tests.properties.interleaving.met import met_at_commit
from tests.properties.interleaving.reference import asked
from tests.properties.interleaving.reference.foreseen import Foreseen, P
from tests.properties.simulation.model.records import Event, StagePlan

LEASES = "SELECT id, state, lease_expires_at <= clock_timestamp() FROM workers"
DELETABLE = {P.PENDING, P.COMPLETED, P.FAILED, P.CANCELLED}


def _plans(plan: Plan) -> list[StagePlan]:
    names = [stage.name for stage in plan.stages]
    return [
        StagePlan(
            tuple(map(names.index, stage.depends_on)),
            **{field: getattr(stage, field) for field in StagePlan._fields if field != "dependencies"},
        )
        for stage in plan.stages
    ]


class Commits:
    """Keeps the ledger."""

    def __init__(self, control: Session, ledger: Ledger, met: set[str]) -> None:
        self.control = control
        self.ledger = ledger
        self.met = met

    async def take(self, call: Call, foreseen: Foreseen, answer: Any, got: set[Any]) -> None:
        """One transaction has committed; it held the locks ``got``."""
        if isinstance(call, Beat | Leave | Expire):
            await self._renew(call, got)
        elif isinstance(call, Delete):
            await self._delete(call, foreseen)
        else:
            if isinstance(call, Create):
                got = {self._open(call, foreseen, answer)}
            books = {i: self.ledger.books[i] for i in got if i in self.ledger.books}
            await self._read(call, foreseen, answer, books)

    def _open(self, call: Create, foreseen: Foreseen, answer: Any) -> int:
        (hint,) = answer.hints
        stages = [stage["uuid"] for stage in call.spec["stages"]]
        slots = [stage.slot for stage in call.plan.stages]
        book = Book(hint.pipeline_id, call.spec["uuid"], stages, _plans(call.plan), slots)
        self.ledger.open(book)
        foreseen.news = {book.id: asked.create(book.plans, starts=call.plan.start)}
        return book.id

    async def _read(self, call: Call, foreseen: Foreseen, answer: Any, books: dict[int, Book]) -> None:
        found = await stored.read(self.control, {i: book.history.seq for i, book in books.items()})
        told: dict[int, list[Event]] = {}
        verify.same("pipelines that are there", set(found), set(books))
        for i, book in books.items():
            told[i] = found[i].news()
            verify.check_news(call, book, foreseen.news.get(i, []), told[i], answer)
            self.met.update(met_at_commit(call, book, told[i]))
        granted = {claim.stage: claim.lease_token for claim in getattr(answer, "claims", ())}
        for i, book in books.items():
            book.learn(call, told[i], granted, is_followed_up=foreseen.is_followed_up)
        handled = sum(self._learn(call, book, told[i], found[i]) for i, book in books.items())
        if isinstance(call, Release):
            verify.check_more(call, handled, answer, books)
        if answer is not None:
            verify.check_transition(answer, told, books, is_held_back=foreseen.is_held_back)

    def _learn(self, call: Call, book: Book, events: list[Event], rows: stored.Rows) -> int:
        """Return how many stages a release has told of; which ones a small one chose is its own affair."""
        handled = 0
        if any(event.retried for event in events):
            book.untold.clear()
        if isinstance(call, Release):
            left = verify.untold(rows) if call.batch < WHOLE else set()
            handled = len(book.untold - left)
            book.untold &= left
        verify.check_rows(book, rows)
        return handled

    async def _delete(self, call: Delete, foreseen: Foreseen) -> None:
        book = self.ledger.named(call.uuid)
        if book and book.status in DELETABLE:
            assert not await stored.remains(self.control, book.id), f"deleting {book.uuid} has left something behind"
            self.ledger.close(book)
            found = await stored.read(self.control, {book.id: 0})
            verify.same("deleted", found, {})
        elif book:
            await self._read(call, foreseen, None, {book.id: book})

    async def _renew(self, call: Beat | Leave | Expire, got: set[Any]) -> None:
        leases = self.ledger.leases
        if isinstance(call, Expire):
            for worker in set(self.ledger.expired()) & got:
                leases[worker].state = "lost"
        elif call.worker in leases and leases[call.worker].beats:
            if isinstance(call, Leave):
                leases[call.worker].state = call.state
            else:
                leases[call.worker].has_lapsed = not call.lease_s
        found = {row[0]: (row[1], row[2]) for row in await self.control.fetch(LEASES)}
        verify.same("the leases", found, {i: (lease.state, lease.has_lapsed) for i, lease in leases.items()})
