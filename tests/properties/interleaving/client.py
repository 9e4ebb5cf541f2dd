"""A client of Postgres that may stop at any moment: one connection, one call, one transaction at a time."""

import asyncio
from typing import Any

import asyncpg

from app.db.pool import BAD_DATA, Session
from tests.properties.interleaving.calls import Call
from tests.properties.interleaving.reference.foreseen import Foreseen

WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)"
GLANCE_S = 1
"""How long a call may take before somebody looks whether it waits for a lock that it should not wait for."""


class Client:
    """Free, waiting for a lock, or with an answer in an open transaction: then it holds its locks."""

    def __init__(self, number: int, c: Session, control: Session) -> None:
        self.number = number
        self.c = c
        self.control = control
        self.call: Call | None = None
        self.foreseen: Foreseen | None = None
        self.answer: Any = None
        self.stops = False
        self._in_transaction = False
        self._sent: asyncio.Task[Any] | None = None

    def __str__(self) -> str:
        return f"client {self.number}"

    @property
    def pid(self) -> int:
        """Of its backend."""
        return self.c.get_server_pid()

    @property
    def is_free(self) -> bool:
        """Whether it may begin something."""
        return self.call is None

    @property
    def is_underway(self) -> bool:
        """Whether it has sent a call and has no answer yet."""
        return self.call is not None and self.foreseen is None

    @property
    def is_open(self) -> bool:
        """Whether it has its answer and has not committed."""
        return self.foreseen is not None

    async def send(self, call: Call, *, stops: bool, waits: bool) -> None:
        """Send a call and do not wait for its answer.

        Only one that neither stops nor waits commits by itself: the others must not before their turn has come.
        """
        self.call, self.stops, self._in_transaction = call, stops, stops or waits
        if self._in_transaction:
            await self.c.execute("BEGIN")
        self._sent = asyncio.create_task(call.send(self.c))

    def is_answered(self) -> bool:
        """Whether the call has returned, though nobody has looked yet."""
        return self._sent is not None and self._sent.done()

    async def receive(self, foreseen: Foreseen) -> bool:
        """Return whether there is an answer, and not the error that was foreseen."""
        assert self._sent is not None
        while not (await asyncio.wait({self._sent}, timeout=GLANCE_S))[0]:
            waits = await self.control.fetchval(WAITS, self.pid)
            assert not waits, f"{self.call} waits for a lock that nobody should hold"
        error = self._sent.exception()
        if isinstance(error, BAD_DATA) and foreseen.refuses_data:
            await self.end("ROLLBACK")
            return False
        self.answer = await self._sent
        assert not foreseen.refuses_data, f"{self.call} was to be refused, and was answered {self.answer}"
        self.foreseen = foreseen
        return True

    async def end(self, how: str) -> None:
        """COMMIT or ROLLBACK."""
        if self._in_transaction:
            await self.c.execute(how)

    async def give_up(self) -> None:
        """Its process dies while it waits."""
        assert self._sent is not None
        await self.control.execute("SELECT pg_cancel_backend($1)", self.pid)
        try:
            await self._sent
        except asyncpg.QueryCanceledError:
            await self.end("ROLLBACK")

    def become_free(self) -> None:
        """Forget."""
        self.call = self.foreseen = self.answer = self._sent = None

    async def reset(self) -> None:
        """Become free, whatever has happened."""
        if self._sent and not self._sent.done():
            await self.control.execute("SELECT pg_cancel_backend($1)", self.pid)
        if self._sent:
            await asyncio.gather(self._sent, return_exceptions=True)
        await self.c.execute("ROLLBACK")
        self.become_free()
