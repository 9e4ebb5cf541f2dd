"""A client that moves when it is told to: services of Headway run in it, and stop at every transaction.

It rests before each ``BEGIN``, before each ``COMMIT`` if it was told so, wherever it waits for a lock, and where it
calls ``pause``. There it may go on, be overtaken, or die.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from typing import Any, cast

from app.db.pool import Connection, Pool, Session

WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)"
GLANCE_S = 0.002
MOVED: ContextVar["Client"] = ContextVar("MOVED")
"""Whose act this is."""
Act = Callable[[Pool], Awaitable[Any]]


class Client:
    """Free, at rest, or waiting for a lock."""

    def __init__(self, c: Session, control: Session) -> None:
        self.c = c
        self.control = control
        self.waits = False
        self.at: str | None = None
        self._free()

    def _free(self) -> None:
        self.doing: Any = None
        self.stops = self._in_transaction = False
        self._task: asyncio.Task[Any] | None = None
        self._turn, self._moved = asyncio.Event(), asyncio.Event()

    @property
    def is_free(self) -> bool:
        """Whether it may begin something."""
        return self._task is None

    def acquire(self, *, timeout: float = 0) -> AbstractAsyncContextManager[Connection]:  # noqa: ARG002
        """Be the pool of one connection that services know: each block is one transaction."""
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        await self.pause("before BEGIN")
        self._in_transaction = True
        await self.c.execute("BEGIN")
        yield self.c
        if self.stops:
            await self.pause("before COMMIT")
        await self.c.execute("COMMIT")
        self._in_transaction = False

    async def pause(self, where: str) -> None:
        """Rest until it is this client's turn."""
        self.at = where
        self._moved.set()
        await self._turn.wait()
        self._turn.clear()
        self.at = None

    async def begin(self, doing: object, act: Act, *, stops: bool) -> None:
        """Begin, as far as the first rest."""
        self.doing, self.stops = doing, stops
        self._task = asyncio.create_task(self._act(act))
        await self.rest()

    async def _act(self, act: Act) -> Any:
        MOVED.set(self)
        return await act(cast("Pool", self))

    async def go_on(self) -> None:
        """Go on to the next rest."""
        self._moved.clear()
        self._turn.set()
        await self.rest()

    async def rest(self) -> None:
        """Return when it rests, has ended, or waits for a lock."""
        assert self._task is not None
        moved = asyncio.create_task(self._moved.wait())
        while True:
            await asyncio.wait({moved, self._task}, timeout=GLANCE_S, return_when=asyncio.FIRST_COMPLETED)
            if moved.done() or self._task.done():
                self.waits = False
                break
            if await self.control.fetchval(WAITS, self.c.get_server_pid()):
                self.waits = True
                break
        moved.cancel()

    @property
    def has_ended(self) -> bool:
        """Whether its act has come to its end."""
        return self._task is not None and self._task.done()

    async def result(self) -> Any:
        """The answer, or the error; the client is free then."""
        assert self._task is not None
        task = self._task
        if self._in_transaction:
            await self.c.execute("ROLLBACK")
        self._free()
        return await task

    async def die(self) -> None:
        """Its process dies where it is."""
        assert self._task is not None
        if self.waits:
            await self.control.execute("SELECT pg_cancel_backend($1)", self.c.get_server_pid())
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._in_transaction:
            await self.c.execute("ROLLBACK")
        self.waits, self.at = False, None
        self._free()
