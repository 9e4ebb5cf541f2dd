"""Task types, as workers register them and the API validates against them; and tasks, stages seen on their own."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from schemas.queue import Queue, Slot
from schemas.stage import Stage
from schemas.states import STAGE_TERMINAL, Outcome, StageStatus, TriggerRule


class TaskType(Struct, frozen=True):
    """A registered task. ``params_schema`` and ``result_schema`` are JSON Schemas of its Structs."""

    name: str
    queue: Queue
    slot: Slot
    version: str
    params_schema: dict[str, Any]
    result_schema: dict[str, Any]


class TaskSummary(Stage, kw_only=True):
    """One line of a list of tasks: a stage, and which pipeline it belongs to, with that one's priority."""

    pipeline: UUID
    pipeline_name: str
    priority: int


class TaskAttempt(Struct, kw_only=True):
    """One start of a task; ``outcome`` is null while it runs, ``worker`` is the name of the worker process."""

    attempt: int
    outcome: Outcome | None
    error: dict[str, Any] | None
    worker: str | None
    executor: str
    started_at: datetime
    finished_at: datetime | None


class Task(TaskSummary, kw_only=True):
    """Everything about one task: its attempts too, the first one first, and by what rules it runs; times in seconds."""

    max_retries: int
    retry_delay: float
    retry_backoff: float
    retry_delay_max: float
    timeout: float
    queue_timeout: float | None
    total_timeout: float | None
    trigger_rule: TriggerRule
    allow_failure: bool
    retry_at: datetime | None
    attempts: list[TaskAttempt]


class TaskPage(Struct, kw_only=True):
    """One page of a list of tasks. It may be short, even empty, before the last one, whose ``next_cursor`` is null."""

    items: list[TaskSummary]
    next_cursor: str | None


class TaskResult(Struct, kw_only=True):
    """How a task ended: ``result`` if it completed, else ``error``, which is null for one that was cancelled early."""

    status: StageStatus
    result: dict[str, Any] | None
    error: dict[str, Any] | None


class TaskPlace(Struct, kw_only=True):
    """Where a task is in its life, and whose it is: for whoever follows it.

    ``seq`` is the number of its pipeline's last event, ``age_s`` how long ago its newest attempt began.
    """

    pipeline: UUID
    seq: int
    stage: str
    slot: Slot
    status: StageStatus
    attempt: int
    age_s: float | None

    @property
    def has_ended(self) -> bool:
        """Whether no attempt will follow the newest one."""
        return self.status in STAGE_TERMINAL

    def is_over(self, attempt: int) -> bool:
        """Whether an attempt of it has ended."""
        return attempt < self.attempt or (attempt == self.attempt and self.status is not StageStatus.RUNNING)
