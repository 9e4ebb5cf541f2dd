"""The five priority queues and the two kinds of slot."""

from enum import StrEnum

from msgspec import Struct


class Queue(StrEnum):
    """One arq queue in Redis each; workers serve them in order of ``QUEUE_PRIORITY``."""

    TRAINING = "training"
    EVALUATION = "evaluation"
    DEFAULT = "default"
    PREPROCESSING = "preprocessing"
    MAINTENANCE = "maintenance"


QUEUE_PRIORITY = {
    Queue.TRAINING: 10,
    Queue.EVALUATION: 7,
    Queue.DEFAULT: 5,
    Queue.PREPROCESSING: 3,
    Queue.MAINTENANCE: 1,
}
QUEUES_BY_PRIORITY = tuple(sorted(QUEUE_PRIORITY, key=lambda queue: -QUEUE_PRIORITY[queue]))


class Slot(StrEnum):
    """Where a task runs on a worker; the two kinds have separate capacity."""

    PROCESS = "process"
    """A supervised subprocess."""
    INLINE = "inline"
    """An async function in the worker's event loop: light I/O only."""


class QueueStatus(Struct, kw_only=True):
    """What waits in a queue and what runs of it; ``oldest_age_s`` is how long the oldest has waited, in seconds."""

    name: Queue
    priority: int
    paused: bool
    queued: int
    running: int
    oldest_age_s: float | None


class QueuePage(Struct, kw_only=True):
    """The queues, in the order in which workers serve them; there is never a next page."""

    items: list[QueueStatus]
    next_cursor: str | None
