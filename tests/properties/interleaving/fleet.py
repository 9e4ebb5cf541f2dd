"""What becomes of workers, and of what they leave behind; as in ``acts.py``."""

from dataclasses import dataclass

from schemas.stage import Held
from tests.properties.interleaving import rescuer
from tests.properties.interleaving.acts import pick
from tests.properties.interleaving.calls import Beat, Call, Expire, Leave
from tests.properties.interleaving.stand import LEASE_S, Stand


@dataclass(frozen=True)
class Lives:
    """A worker beats, lets its lease lapse, leaves, or begins; or a scheduler takes the leases that have run out.

    Rather one of whose lease somebody has the lock.
    """

    worker: int
    how: str

    async def call(self, stand: Stand) -> Call | None:
        worker = pick(stand.workers, self.worker, [each for each in stand.workers if each in stand.locks.holder])
        match self.how:
            case "register":
                await stand.register()
                return None
            case "expire":
                return Expire()
            case "beat" | "forget" | "lapse":
                granted = [(b, token, g) for b in stand.ledger.books.values() for token, g in b.granted.items()]
                held = [Held(book.stages[g.position], token) for book, token, g in granted if g.worker == worker]
                return Beat(worker, tuple(held) if self.how == "beat" else (), 0 if self.how == "lapse" else LEASE_S)
            case _:
                return Leave(worker, self.how)


@dataclass(frozen=True)
class TakesBack:
    """The rescuer ends attempts that are lost, or overdue."""

    why: str

    async def call(self, stand: Stand) -> Call | None:
        return await (rescuer.lost(stand) if self.why == "lost" else rescuer.overdue(stand))
