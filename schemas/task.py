"""Task types, as workers register them and the API validates against them; and tasks, stages seen on their own."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from schemas import limits
from schemas.diagnosis import Diagnosis
from schemas.pipeline import (
    Backoff,
    Labels,
    MaxRetries,
    PipelineName,
    Priority,
    Seconds,
    TaskName,
    Timeout,
    WaitTimeout,
)
from schemas.queue import Queue, Slot
from schemas.stage import Stage
from schemas.states import STAGE_TERMINAL, Outcome, StageStatus

BUILT_IN_TASKS = frozenset(
    {"preprocess_dataset", "train_model", "run_evaluation", "cleanup_checkpoints", "run_command", "noop"},
)
"""The tasks that every worker of this version can run; whoever plugs in more has workers that know them."""


class TaskType(Struct, frozen=True):
    """A registered task. ``params_schema`` and ``result_schema`` are JSON Schemas of its Structs."""

    name: str
    queue: Queue
    slot: Slot
    version: str
    params_schema: dict[str, Any]
    result_schema: dict[str, Any]


class TaskTypePage(Struct):
    """All task types, by name; there is never a next page."""

    items: list[TaskType]
    next_cursor: str | None


class TaskSpec(Struct, forbid_unknown_fields=True):
    """The body of a submit call: one task, started at once. It is a pipeline of one stage, named ``name``."""

    task: TaskName
    params: dict[str, Any] = field(default_factory=dict)
    name: PipelineName | None = None
    queue: Queue | None = None
    priority: Priority = limits.PRIORITY_DEFAULT
    labels: Labels = field(default_factory=dict)
    max_retries: MaxRetries = 0
    retry_delay: Seconds = limits.RETRY_DELAY_DEFAULT_S
    retry_backoff: Backoff = 1.0
    retry_delay_max: Seconds = limits.RETRY_DELAY_CAP_DEFAULT_S
    timeout: Timeout = limits.TIMEOUT_DEFAULT_S
    queue_timeout: WaitTimeout | None = None
    total_timeout: WaitTimeout | None = None


class PurgeSpec(Struct, forbid_unknown_fields=True):
    """The body of a purge: one queue, or all of them."""

    queue: Queue | None = None


class Purged(Struct):
    """How many queued tasks were cancelled."""

    purged: int


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
    diagnosis: Diagnosis | None = None
    worker: str | None
    executor: str
    started_at: datetime
    finished_at: datetime | None


class Task(TaskSummary, kw_only=True):
    """Everything about one task: its attempts too, the first one first, and how it is tried again; times in seconds.

    While it runs, ``step`` of ``total`` steps and ``steps_per_s`` are what it has reported at ``reported_at``, and
    ``eta_s`` is how long it takes from now on; ``loss`` is the last one of its newest attempt.
    """

    step: float | None = None
    total: float | None = None
    steps_per_s: float | None = None
    eta_s: float | None = None
    loss: float | None = None
    reported_at: datetime | None = None
    max_retries: int
    retry_delay: float
    retry_backoff: float = 1.0
    retry_delay_max: float = limits.RETRY_DELAY_CAP_DEFAULT_S
    timeout: float
    queue_timeout: float | None = None
    total_timeout: float | None = None
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
