"""A few clients on one Postgres, moved in turn; a machine says what they may do and what must come of it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple, Protocol

import asyncpg
from hypothesis import strategies as st

from app.db.pool import Pool, Session, open_pool
from tests.properties.interleaving.numbers import Numbers
from tests.properties.interleaving.surgery import make_patient
from tests.properties.turns.client import Client

CLIENTS = 3
STEPS = 32


class Step(NamedTuple):
    """One client begins something, goes on or dies; what it begins is hidden in ``drawn``."""

    client: int
    drawn: bytes


STEPS_DRAWN = st.lists(st.builds(Step, st.integers(0, CLIENTS - 1), Numbers.drawn), min_size=STEPS, max_size=STEPS)


class Call(Protocol):
    """What a client does. Its effect is foreseen when it has its locks, and counts when it has committed.

    ``has_waited``: for a lock, which Postgres then gives it even if it finds that it does not need it any more.
    """

    has_waited: bool
    locks: set[object]

    async def act(self, pool: Pool) -> Any:
        """Call the services."""

    def is_held_up(self) -> bool | None:
        """Whether it must wait for a lock that somebody holds, as things are; None if that is not foreseen."""

    def foresee(self) -> None:
        """Decide what must come of it, and hold the locks that it has now."""

    def take_effect(self, answer: Any) -> None:
        """It has committed; check its answer."""


class Stage:
    """The clients, and the calls that they are at."""

    def __init__(self, pool: Pool, control: Session, clients: list[Client]) -> None:
        self.pool = pool
        self.control = control
        self.clients = clients
        self.calls: dict[Client, Call] = {}
        self.foreseen: set[Client] = set()
        self.story: list[str] = []
        self.commits = 0

    @property
    def underway(self) -> list[Client]:
        """Those that are at something."""
        return [client for client in self.clients if not client.is_free]

    @property
    def open_calls(self) -> list[Call]:
        """Those that hold their locks and have not committed."""
        return [self.calls[client] for client in self.foreseen]

    async def begin(self, client: Client, call: Call, *, stops: bool) -> bool:
        """Begin a call, unless it would have to wait in line, where Postgres lets two race; False if so."""
        if call.is_held_up() and any(each.waits for each in self.clients):
            return False
        self.calls[client] = call
        self._tell(client, f"begins {call}", "and stops" * stops)
        await client.begin(call, call.act, stops=stops)
        await self.go_on(client)
        return True

    async def go_on(self, client: Client) -> None:
        """Let a client go on, and then all those that waited for it."""
        await client.go_on()
        await self._look(client)
        for other in self.clients:
            if other.waits:
                await other.rest()
                await self._look(other)

    async def die(self, client: Client) -> None:
        """Kill one; whoever waited for it goes on."""
        self._tell(client, "dies")
        await client.die()
        self.foreseen.discard(client)
        for other in self.clients:
            if other.waits:
                await other.rest()
                await self._look(other)

    async def _look(self, client: Client) -> None:
        call = self.calls[client]
        if client.waits:
            self._tell(client, "waits")
            call.has_waited = True
            assert call.is_held_up() is not False, f"{call} waits for a lock that nobody should hold"
            return
        if client not in self.foreseen:
            assert not call.is_held_up(), f"{call} did not wait for a lock that somebody holds"
            call.foresee()
            self.foreseen.add(client)
        if client.has_ended:
            self.foreseen.discard(client)
            self.commits += 1
            answer = await client.result()
            self._tell(client, f"has committed, and heard {answer}")
            call.take_effect(answer)

    async def rest(self) -> None:
        """Let everybody come to an end."""
        while self.underway:
            for client in self.underway:
                if client.at:
                    await self.go_on(client)

    def _tell(self, client: Client, *words: str) -> None:
        self.story.append(f"client {self.clients.index(client)} {' '.join(words)}")

    async def clear(self) -> None:
        """Leave nobody behind, whatever has happened."""
        for client in self.underway:
            await client.die()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[Pool, Session, list[Client]]]:
    """The connections of a stage; the database becomes patient for good."""
    async with AsyncExitStack() as stack:
        sessions = [await asyncpg.connect(url) for _ in range(CLIENTS + 1)]
        for each in sessions:
            stack.push_async_callback(each.close)
        control, *others = sessions
        await make_patient(control)
        pool = await open_pool(url, max_size=2)
        stack.callback(pool.terminate)
        yield pool, control, [Client(c, control) for c in others]
