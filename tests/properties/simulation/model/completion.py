"""Complete, the first of the two acts: ``complete_stages``, for one attempt."""

from app.core import transitions
from app.core.transitions import AttemptEvent, StageEvent
from schemas.event import EventType
from schemas.states import STAGE_TERMINAL, Outcome, PipelineStatus, StageStatus
from tests.properties.simulation.model import journal
from tests.properties.simulation.model.records import Completion, Database, Pipeline, Stage

OWN_ERRORS = frozenset({Outcome.FAILED, Outcome.TIMED_OUT})
TOLD_AS = {
    StageStatus.COMPLETED: EventType.STAGE_COMPLETED,
    StageStatus.FAILED: EventType.STAGE_FAILED,
    StageStatus.CANCELLED: EventType.STAGE_CANCELLED,
    StageStatus.RETRYING: EventType.STAGE_RETRYING,
}
CLOSED_BY = {
    Outcome.COMPLETED: AttemptEvent.COMPLETE,
    Outcome.FAILED: AttemptEvent.FAIL,
    Outcome.TIMED_OUT: AttemptEvent.TIME_OUT,
    Outcome.CANCELLED: AttemptEvent.STOP,
    Outcome.LOST: AttemptEvent.LOSE,
}


def complete(db: Database, now: float, said: Completion) -> bool:
    """End an attempt, if it holds its stage. False for a stale one; one that repeats itself is not stale."""
    pipeline, stage = db.pipeline, db.pipeline.stages[said.position]
    if holds(stage, said):
        _end(pipeline, stage, now, said)
    return is_its_outcome(stage, said)


def holds(stage: Stage, said: Completion) -> bool:
    """The fence: only the attempt that holds the stage may end it."""
    return is_running(stage) and is_newest(stage, said) and is_holder(stage, said)


def is_running(stage: Stage) -> bool:
    """First third of the fence: the status."""
    return stage.status is StageStatus.RUNNING


def is_newest(stage: Stage, said: Completion) -> bool:
    """Second third: the attempt."""
    return stage.attempt == said.attempt


def is_holder(stage: Stage, said: Completion) -> bool:
    """Last third: the lease token."""
    return stage.lease_token == said.lease_token


def is_its_outcome(stage: Stage, said: Completion) -> bool:
    """Whether the attempt has ended in just this way, now or before."""
    attempt = stage.attempts[said.attempt - 1] if 0 < said.attempt <= len(stage.attempts) else None
    return attempt is not None and attempt.lease_token == said.lease_token and attempt.outcome is said.outcome


def status_after(pipeline: Pipeline, stage: Stage, said: Completion) -> StageStatus:
    """What becomes of the stage. What has completed has completed, even while its pipeline is being cancelled."""
    if said.outcome is Outcome.COMPLETED:
        return StageStatus.COMPLETED
    if pipeline.status is PipelineStatus.CANCELLING or stage.cancel_asked:
        return StageStatus.CANCELLED
    if said.retry_delay_s is not None:
        return StageStatus.RETRYING
    return StageStatus.CANCELLED if said.outcome is Outcome.CANCELLED else StageStatus.FAILED


def _event(status: StageStatus, said: Completion) -> StageEvent:
    lost = said.outcome is Outcome.LOST
    if status is StageStatus.RETRYING:
        return StageEvent.RESCUE if lost else StageEvent.RETRY_LATER if said.costs_retry else StageEvent.DRAIN
    if status is StageStatus.FAILED:
        return StageEvent.QUARANTINE if lost else StageEvent.FAIL
    return StageEvent.COMPLETE if status is StageStatus.COMPLETED else StageEvent.STOP


def _end(pipeline: Pipeline, stage: Stage, now: float, said: Completion) -> None:
    status = status_after(pipeline, stage, said)
    journal.move(pipeline, stage, _event(status, said))
    stage.lease_token = None
    stage.failures = failures_after(stage, said)
    stage.losses = losses_after(stage, said)
    stage.retry_at = now + (said.retry_delay_s or 0) if status is StageStatus.RETRYING else None
    stage.give_up_at = stage.expires_at if status is StageStatus.RETRYING else None
    stage.propagated = status in STAGE_TERMINAL and not stage.dependents
    attempt = stage.attempts[stage.attempt - 1]
    attempt.outcome = transitions.next_attempt(attempt.outcome, CLOSED_BY[said.outcome])
    journal.append(pipeline, [(TOLD_AS[status], stage.position, stage.attempt, said.outcome)])


def failures_after(stage: Stage, said: Completion) -> int:
    """Attempts that cost retry budget."""
    return stage.failures + (said.costs_retry and said.outcome in OWN_ERRORS)


def losses_after(stage: Stage, said: Completion) -> int:
    """Lost attempts in a row; a drain in between neither counts nor ends the row."""
    if said.outcome is Outcome.LOST:
        return stage.losses + 1
    return 0 if said.costs_retry else stage.losses
