"""Claim: ``claim_stages``, for one stage. A batch in one pipeline is the same as one call after the other."""

from typing import NamedTuple

from app.core.transitions import ONLY_WHILE, STAGE_MOVES, StageEvent
from schemas.event import EventType
from schemas.states import StageStatus
from tests.properties.simulation.model import journal, leases
from tests.properties.simulation.model.records import Attempt, Database, Job, Pipeline, Stage


class Claim(NamedTuple):
    """A granted claim, with what the worker must know later."""

    position: int
    attempt: int
    lease_token: int
    failures: int
    started_at: float
    timeout_s: float = 0.0
    expires_at: float | None = None

    @property
    def time_limit_s(self) -> float:
        """How long the attempt may run."""
        left_s = self.timeout_s if self.expires_at is None else self.expires_at - self.started_at
        return max(0.0, min(self.timeout_s, left_s))

    @property
    def is_last(self) -> bool:
        """Whether the stage's total timeout is over when this attempt has run for as long as it may."""
        return self.expires_at is not None and self.started_at + self.timeout_s >= self.expires_at

    def __repr__(self) -> str:
        return f"attempt {self.attempt} of stage {self.position} under lease token {self.lease_token}"


class Claimed(NamedTuple):
    """The answer: no claim means that there was nothing to be claimed."""

    claim: Claim | None = None
    worker_lost: bool = False

    def __repr__(self) -> str:
        return "worker lost" if self.worker_lost else f"granted {self.claim}" if self.claim else "nothing"


def claim(db: Database, now: float, worker: int, job: Job, lease_token: int) -> Claimed:
    """queued → running, if the stage is still queued under that dispatch token, by a worker whose lease still holds.

    Repeated with the same lease token it gives the same answer.
    """
    if not leases.may_claim(db, now, worker):
        return Claimed(worker_lost=True)
    pipeline, stage = db.pipeline, db.pipeline.stages[job.position]
    if is_claimable(pipeline, stage) and is_newest_job(stage, job) and is_queue_open(db):
        _begin(pipeline, stage, now, worker, lease_token)
    if is_granted(stage, lease_token):
        return Claimed(
            Claim(
                stage.position,
                stage.attempt,
                lease_token,
                stage.failures,
                stage.started_at,
                stage.timeout_s,
                stage.expires_at,
            )
        )
    return Claimed()


def is_claimable(pipeline: Pipeline, stage: Stage) -> bool:
    """Whether stage and pipeline are in a state to begin an attempt."""
    return stage.status in STAGE_MOVES[StageEvent.CLAIM] and pipeline.status in ONLY_WHILE[StageEvent.CLAIM]


def is_newest_job(stage: Stage, job: Job) -> bool:
    """Whether the job stands for this time of being queued."""
    return stage.dispatch_token == job.dispatch_token


def is_queue_open(db: Database) -> bool:
    """Whether its queue is not paused."""
    return db.queue_paused_at is None


def is_granted(stage: Stage, lease_token: int) -> bool:
    """Whether the stage runs under this claim, granted now or by an earlier call whose answer was lost."""
    return stage.status is StageStatus.RUNNING and stage.lease_token == lease_token


def _begin(pipeline: Pipeline, stage: Stage, now: float, worker: int, lease_token: int) -> None:
    journal.move(pipeline, stage, StageEvent.CLAIM)
    stage.attempt = next_attempt_number(stage)
    stage.lease_token = lease_token
    stage.worker = worker
    stage.started_at = now
    stage.give_up_at = None
    stage.attempts.append(Attempt(lease_token, worker))
    journal.append(pipeline, [(EventType.STAGE_STARTED, stage.position, stage.attempt, None)])


def next_attempt_number(stage: Stage) -> int:
    """Attempts are counted from 1 and never reset."""
    return stage.attempt + 1
