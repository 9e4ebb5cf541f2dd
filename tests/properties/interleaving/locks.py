"""Who must hold which lock, and who must wait: the protocol's promise about locks, counted on fingers.

A lock is a pipeline, by its id, or a worker's lease, by its uuid. A call takes its locks in order and keeps them until
its transaction ends. It either waits for what somebody else holds, or leaves it out.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

Lock = int | UUID


class Locks:
    """Of all clients, known by number."""

    def __init__(self) -> None:
        self.holder: dict[Lock, int] = {}
        self.wanted: dict[int, list[Lock]] = {}  # by those who wait; the first is what they wait for

    def would_wait_in_line(self, locks: Iterable[Lock]) -> bool:
        """Whether a waiting call might meet another at the same lock.

        Postgres lets the two race for it if whoever held it has changed the row, and no race can be played twice.
        """
        awaited = {lock for wanted in self.wanted.values() for lock in wanted}
        return not awaited.isdisjoint(locks)

    def request(self, client: int, locks: Sequence[Lock], *, patient: bool) -> None:
        """A call begins."""
        if patient:
            self.wanted[client] = list(locks)
            self._advance(client)
        else:
            self.holder |= {lock: client for lock in locks if lock not in self.holder}

    def release(self, client: int) -> None:
        """Its transaction has ended, or it has given up; whoever waited for its locks goes on."""
        self.wanted.pop(client, None)
        self.holder = {lock: holder for lock, holder in self.holder.items() if holder != client}
        for other in list(self.wanted):
            self._advance(other)

    def _advance(self, client: int) -> None:
        wanted = self.wanted[client]
        while wanted and self.holder.setdefault(wanted[0], client) == client:
            del wanted[0]
        if not wanted:
            del self.wanted[client]

    def waits(self, client: int) -> bool:
        """Whether its call must be waiting now."""
        return client in self.wanted

    def held_by(self, client: int) -> set[Lock]:
        """What it holds."""
        return {lock for lock, holder in self.holder.items() if holder == client}
