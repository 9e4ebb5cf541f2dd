"""Slots: how many attempts a worker runs at once, of each kind, and what it offers to begin at once."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from schemas.stage import Claim, Serves


@dataclass(eq=False)
class Slots:
    """Those of one kind; ``promised`` ones are kept for what a completion may claim.

    ``is_idle``: the queues had nothing for them, and whoever adds something wakes the worker. Whatever begins then
    overtakes nobody.
    """

    capacity: int
    running: set[asyncio.Task[None]] = field(default_factory=set)
    promised: int = 0
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    is_idle: bool = False

    @property
    def free(self) -> int:
        """How many more attempts may begin."""
        return self.capacity - len(self.running) - self.promised

    @property
    def idle(self) -> int:
        """How many the next completion may fill; as many are left to what comes to the queues meanwhile."""
        return (self.free + 1) // 2 if self.is_idle else 0

    def leave(self, task: asyncio.Task[None]) -> None:
        """An attempt has ended."""
        self.running.discard(task)
        self.freed.set()

    @contextmanager
    def promise(self, count: int) -> Iterator[int]:
        """Keep so many free."""
        self.promised += count
        try:
            yield count
        finally:
            self.promised -= count
            if count:
                self.freed.set()


@dataclass(frozen=True)
class Offer:
    """What a worker would begin at once, and how it does."""

    serves: Serves
    begin: Callable[[Sequence[Claim]], None]


@contextmanager
def nothing() -> Iterator[Offer]:
    """Of a worker that begins nothing at once."""
    yield Offer(Serves(), lambda _: None)
