"""The five priority queues and the two kinds of slot."""

from enum import StrEnum


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
