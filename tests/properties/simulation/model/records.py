"""The rows that the protocol works on, as far as it decides anything by them: one pipeline, and the workers' leases.

The names are those of the columns in ``migrations/``. Stages are known by position, workers and tokens by number.
"""

from typing import NamedTuple

from schemas.event import EventType
from schemas.states import Outcome, PipelineStatus, StageStatus, TriggerRule


class StagePlan(NamedTuple):
    """What a create call says of one stage; a dependency is the position of an earlier stage."""

    dependencies: tuple[int, ...] = ()
    max_retries: int = 0
    retry_delay_s: float = 0.0
    timeout_s: float = 60.0
    queue_timeout_s: float | None = None
    total_timeout_s: float | None = None
    trigger_rule: TriggerRule = TriggerRule.ALL_COMPLETED
    allow_failure: bool = False
    retry_backoff: float = 1.0
    retry_delay_max_s: float = 3600.0


class Attempt:
    """A row of ``attempts``; it is open while it has no outcome."""

    __slots__ = ("lease_token", "outcome", "worker")

    def __init__(self, lease_token: int, worker: int) -> None:
        self.lease_token = lease_token
        self.worker = worker
        self.outcome: Outcome | None = None


class Stage:
    """A row of ``stages``, with its edges and its attempts."""

    __slots__ = (
        "allow_failure",
        "attempt",
        "attempts",
        "cancel_asked",
        "dependencies",
        "dependents",
        "dispatch_token",
        "expires_at",
        "failures",
        "give_up_at",
        "lease_token",
        "losses",
        "max_retries",
        "position",
        "propagated",
        "queue_timeout_s",
        "queued_at",
        "retry_at",
        "retry_backoff",
        "retry_delay_max_s",
        "retry_delay_s",
        "started_at",
        "status",
        "timeout_s",
        "total_timeout_s",
        "trigger_rule",
        "unmet",
        "worker",
    )

    def __init__(self, position: int, plan: StagePlan) -> None:
        self.position = position
        for name, value in plan._asdict().items():
            setattr(self, name, value)
        self.dependents: list[int] = []
        self.status = StageStatus.PENDING
        self.unmet = len(plan.dependencies)
        self.propagated = False
        self.dispatch_token = 0
        self.attempt = 0
        self.failures = 0
        self.losses = 0
        self.lease_token: int | None = None
        self.worker: int | None = None
        self.cancel_asked = False
        self.retry_at: float | None = None
        self.expires_at: float | None = None
        self.give_up_at: float | None = None
        self.queued_at = 0.0
        self.started_at = 0.0
        self.attempts: list[Attempt] = []


class Event(NamedTuple):
    """A row of ``events``: its number, and what a client could read from it."""

    seq: int
    type: EventType
    position: int | None
    attempt: int
    outcome: Outcome | None
    retried: tuple[int, ...] = ()  # stages that begin again


class Pipeline:
    """A row of ``pipelines`` with everything that hangs on it. ``open_stages`` are not terminal yet."""

    __slots__ = ("broken_stages", "events", "last_seq", "open_stages", "paused_at", "seen", "stages", "status")

    def __init__(self, stages: list[Stage]) -> None:
        self.status = PipelineStatus.PENDING
        self.paused_at = 0.0
        self.stages = stages
        self.open_stages = len(stages)
        self.broken_stages = 0
        self.last_seq = 0
        self.events: list[Event] = []
        self.seen: Pipeline | None = None  # what a defective transaction saw before it had the lock; see mutants


class Lease:
    """A row of ``workers``."""

    __slots__ = ("expires_at", "state")

    def __init__(self, expires_at: float) -> None:
        self.state = "live"
        self.expires_at = expires_at


class Database:
    """All of Postgres that the model has; there is one queue, and it may be paused."""

    __slots__ = ("leases", "pipeline", "queue_paused_at")

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.queue_paused_at: float | None = None
        self.leases: dict[int, Lease] = {}


class Completion(NamedTuple):
    """How an attempt ended, as its worker or the rescuer reports it."""

    position: int
    attempt: int
    lease_token: int
    outcome: Outcome
    retry_delay_s: float | None = None
    costs_retry: bool = True

    def __repr__(self) -> str:
        after = "" if self.retry_delay_s is None else f", again after {self.retry_delay_s:g} s"
        return f"attempt {self.attempt} of stage {self.position} {self.outcome}{after}"


class Job(NamedTuple):
    """A queued stage on its way through Redis."""

    position: int
    dispatch_token: int

    def __repr__(self) -> str:
        return f"job {self.position}:{self.dispatch_token}"
