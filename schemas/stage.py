"""Stages as the API answers them, and the messages of the claim protocol between a worker and Postgres."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from schemas.diagnosis import Diagnosis
from schemas.limits import RETRY_DELAY_MAX_S
from schemas.queue import Queue, Slot
from schemas.states import Outcome, StageStatus, TriggerRule


class Stage(Struct, kw_only=True):
    """One stage of a pipeline. ``task_id`` is its uuid, the name it has in ``/api/v1/tasks``."""

    name: str
    task: str
    queue: Queue
    status: StageStatus
    attempt: int
    task_id: UUID
    params: dict[str, Any]
    depends_on: list[str]
    trigger_rule: TriggerRule = TriggerRule.ALL_COMPLETED
    allow_failure: bool = False
    progress: float | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    diagnosis: Diagnosis | None
    worker: str | None
    waiting_reason: str | None = None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


class QueuedStage(Struct, frozen=True):
    """A stage that Postgres has queued and that is to be dispatched to its Redis queue."""

    stage: UUID
    dispatch_token: int
    task: str
    queue: Queue
    slot: str
    priority: int
    queued_at: datetime


class ClaimRequest(Struct, frozen=True):
    """A worker asks for one stage; the lease token is made for this one request and repeated with it."""

    stage: UUID
    dispatch_token: int
    lease_token: UUID


class Claim(Struct, frozen=True):
    """A granted claim: what one attempt needs to run.

    ``started_at`` and ``expires_at``, the end of the stage's total timeout, are in Unix seconds of Postgres' clock.
    """

    stage: UUID
    attempt: int
    lease_token: UUID
    pipeline: UUID
    pipeline_name: str
    name: str
    task: str
    params: dict[str, Any]
    references: dict[str, str]
    max_retries: int
    failures: int
    retry_delay_s: float
    timeout_s: float
    started_at: float
    slot: Slot = Slot.PROCESS
    retry_backoff: float = 1.0
    retry_delay_max_s: float = RETRY_DELAY_MAX_S
    expires_at: float | None = None
    resume_from: str | None = None

    @property
    def time_limit_s(self) -> float:
        """How long this attempt may run: its timeout, or what is left of the stage's total timeout."""
        left_s = self.timeout_s if self.expires_at is None else self.expires_at - self.started_at
        return max(0.0, min(self.timeout_s, left_s))

    @property
    def is_last(self) -> bool:
        """Whether the stage's total timeout is over when this attempt has run for as long as it may."""
        return self.expires_at is not None and self.started_at + self.timeout_s >= self.expires_at


class Hint(Struct, frozen=True):
    """Go and look: the pipeline has events up to ``seq``, and perhaps something to release.

    Losing one costs a sweep, never work.
    """

    pipeline_id: int
    pipeline: UUID
    seq: int
    releasable: bool


class Transition(Struct, frozen=True, kw_only=True):
    """What one committed batch did: who should look, and what is to be dispatched."""

    hints: list[Hint] = []
    queued: list[QueuedStage] = []


class Claimed(Transition, frozen=True, kw_only=True):
    """The answer to a batch of claims; whatever is in neither list is no longer there to be claimed.

    ``locked`` has the stages of each pipeline that was left out because somebody else holds it.
    """

    claims: list[Claim] = []
    locked: list[list[UUID]] = []
    worker_lost: bool = False


class Completion(Struct, frozen=True):
    """How an attempt ended, as its worker reports it.

    ``retry_delay_s`` is the pause before the next attempt, or None to let the stage end; a lost or drained attempt
    sets ``costs_retry`` to False.
    """

    stage: UUID
    attempt: int
    lease_token: UUID
    outcome: Outcome
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    retry_delay_s: float | None = None
    costs_retry: bool = True
    diagnosis: Diagnosis | None = None


class Completed(Transition, frozen=True, kw_only=True):
    """The answer to a batch of completions: ``stale`` ones came from an attempt that no longer holds its stage.

    ``locked`` as in ``Claimed``.
    """

    locked: list[list[UUID]] = []
    stale: list[UUID] = []


class Serves(Struct, frozen=True):
    """What a worker can begin at once: stages of these queues and tasks, in so many slots of each kind."""

    queues: list[Queue] = []
    tasks: list[str] = []
    inline: int = 0
    process: int = 0


class CompletedToWorker(Completed, frozen=True, kw_only=True):
    """The same, and what the worker has claimed of what became possible."""

    claims: list[Claim] = []


class Released(Transition, frozen=True, kw_only=True):
    """The answer to a release pass, by pipeline id: ``more`` may have some left, ``locked`` were left out."""

    more: list[int] = []
    locked: list[int] = []


class Progress(Struct, frozen=True):
    """How far a running attempt has come, 0 to 1; and at which of how many steps it is, and how fast, if it says so."""

    stage: UUID
    lease_token: UUID
    progress: float
    step: float | None = None
    total: float | None = None
    steps_per_s: float | None = None
    eta_s: float | None = None


class Lost(Struct, frozen=True):
    """A running attempt whose worker is gone; ``losses`` counts the lost attempts just before this one."""

    stage: UUID
    attempt: int
    lease_token: UUID
    losses: int
    worker: str


class Overdue(Struct, frozen=True):
    """A running attempt that is past its timeout, and past the time its worker had to end it."""

    stage: UUID
    attempt: int
    lease_token: UUID
    timeout_s: float
    max_retries: int
    failures: int
    retry_delay_s: float
    retry_backoff: float = 1.0
    retry_delay_max_s: float = RETRY_DELAY_MAX_S


class Purged(Transition, frozen=True, kw_only=True):
    """The answer to a purge; ``locked`` are the ids of pipelines that were left out."""

    purged: int
    locked: list[int] = []


class Held(Struct, frozen=True):
    """A stage that a worker believes it holds."""

    stage: UUID
    lease_token: UUID


class Stranger(Struct, frozen=True):
    """An attempt that Postgres gave to a worker that does not know of it."""

    stage: UUID
    attempt: int
    lease_token: UUID


class Beat(Struct, frozen=True, kw_only=True):
    """The answer to a heartbeat; ``lost`` means that the lease was taken and everything must stop.

    ``cancelled`` and ``fenced`` are lease tokens of attempts to stop.
    """

    lost: bool
    cancelled: list[UUID] = []
    fenced: list[UUID] = []
    strangers: list[Stranger] = []
