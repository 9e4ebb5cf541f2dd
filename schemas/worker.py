"""Workers, as the API answers them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from schemas.queue import Queue


class WorkerState(StrEnum):
    """One incarnation of a worker process, from its first lease to its end."""

    LIVE = "live"
    """It holds a lease and takes work."""
    DRAINING = "draining"
    """It takes no more work, and lets what runs finish."""
    STOPPED = "stopped"
    """It has ended in good order."""
    LOST = "lost"
    """Its lease ran out; what it ran was rescued."""


class Capacity(Struct, kw_only=True):
    """How many stages may run at once, and how many do."""

    total: int
    busy: int


class Slots(Struct, kw_only=True):
    """The two kinds of slots."""

    process: Capacity
    inline: Capacity


class Worker(Struct, kw_only=True):
    """A worker process; ``id`` is that of its lease, and a new one after each restart."""

    id: UUID
    name: str
    version: str
    state: WorkerState
    queues: list[Queue]
    slots: Slots
    started_at: datetime
    heartbeat_at: datetime
    lease_expires_at: datetime


class WorkerPage(Struct, kw_only=True):
    """The workers; there is never a next page."""

    items: list[Worker]
    next_cursor: str | None


class Fleet(Struct, kw_only=True):
    """All workers that hold a lease together."""

    live: int
    draining: int
    slots: Slots
