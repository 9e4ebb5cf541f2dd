"""Statistics over all pipelines."""

from datetime import datetime

from msgspec import Struct

from schemas.queue import Queue, QueueStatus
from schemas.states import StageStatus
from schemas.worker import Slots


class TaskHour(Struct, kw_only=True):
    """What ended of one task in the last hour; the durations, in seconds, are those of what was completed."""

    task: str
    completed: int
    failed: int
    mean_s: float | None
    p50_s: float | None
    max_s: float | None


class Counted(Struct, frozen=True):
    """What a pass of the roll-up has done: how many ends it ``counted``, and whether there are ``more``."""

    counted: int
    more: bool


class StatsOverview(Struct, kw_only=True):
    """The whole installation at a glance.

    Of ``pending``, ``queued``, ``running`` and ``retrying`` it says how many stages there are now; of the others how
    often stages have ended so, as of ``counted_at``.
    """

    by_status: dict[StageStatus, int]
    by_queue: dict[Queue, dict[StageStatus, int]]
    by_task: dict[str, dict[StageStatus, int]]
    queues: list[QueueStatus]
    workers: dict[str, int]
    slots: Slots
    last_hour: list[TaskHour]
    counted_at: datetime
