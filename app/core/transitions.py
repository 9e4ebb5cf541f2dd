"""The grammar of Headway: what may follow what, and who may say so.

Three tables read ``event → {state before: state after}``. Everything else derives from them: the refusals that users
see, the diagrams of the docs and the tests that hold the SQL of ``migrations/`` to the same rules. Whatever is not in
a table is refused. Terminal states are closed but for an explicit retry.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from app.errors import Conflict
from schemas.states import PIPELINE_TERMINAL, STAGE_TERMINAL, Outcome, PipelineStatus, StageStatus

_State = TypeVar("_State", bound=StrEnum)


class PipelineEvent(StrEnum):
    """What can happen to a pipeline."""

    CREATE = "create"
    """A client's create call stores it."""
    START = "start"
    """A client's start call, or its create call with ``start``."""
    PAUSE = "pause"
    """A client: dispatch and claims stop, running stages finish."""
    RESUME = "resume"
    """A client: queued stages are dispatched again."""
    CANCEL = "cancel"
    """A client: what waits is cancelled in the same transaction, what runs is asked to stop. Twice is no error."""
    RETRY = "retry"
    """A client, once the pipeline has settled: completed stages are kept, all others get another go."""
    SETTLE_COMPLETED = "settle_completed"
    """The scheduler: every stage is terminal and none failed or was cancelled."""
    SETTLE_FAILED = "settle_failed"
    """The scheduler: every stage is terminal and some failed or were cancelled singly."""
    SETTLE_CANCELLED = "settle_cancelled"
    """The scheduler, or the cancel call itself when nothing was running: every stage is terminal after a cancel."""


class StageEvent(StrEnum):
    """What can happen to a stage."""

    CREATE = "create"
    """Stored together with its pipeline."""
    RELEASE = "release"
    """The scheduler, or the start call for a root: all of its dependencies are satisfied."""
    SKIP = "skip"
    """The scheduler: a dependency ended without completing, or its trigger rule had no need of it."""
    CLAIM = "claim"
    """A worker takes it for one attempt, under a lease."""
    COMPLETE = "complete"
    """Its worker: the attempt ended with a result."""
    FAIL = "fail"
    """Its worker, or the rescuer for a timeout: an error of its own, and no retry is left or none would help."""
    RETRY_LATER = "retry_later"
    """Its worker, or the rescuer for a timeout: an error of its own, paid from the retry budget."""
    DRAIN = "drain"
    """Its worker is leaving: the attempt was stopped and costs no budget."""
    RESCUE = "rescue"
    """The rescuer: the worker's lease has run out; the attempt is lost and costs no budget."""
    QUARANTINE = "quarantine"
    """The rescuer: too many losses in a row, so the stage itself is suspected of killing its workers."""
    QUEUE_AGAIN = "queue_again"
    """The scheduler, at ``retry_at``."""
    EXPIRE = "expire"
    """The scheduler: it waited for a start for longer than its queue timeout or its total timeout allows."""
    CANCEL = "cancel"
    """A client, for the stage or its pipeline. A running stage stays so until its process group is gone."""
    STOP = "stop"
    """Its worker, or the rescuer of that worker: after a cancel the process group is gone, however it went."""
    RETRY = "retry"
    """A client asks for another go, once the pipeline has settled: fresh budget, attempts counted on."""
    REVIVE = "revive"
    """Comes with the retry of what it had waited for; a completed one too, if it had been released by a failure."""


class AttemptEvent(StrEnum):
    """What can happen to an attempt, which is open from its claim until it has an outcome."""

    COMPLETE = "complete"
    """Its worker reports the result."""
    FAIL = "fail"
    """Its worker reports an error."""
    TIME_OUT = "time_out"
    """Its worker, or the rescuer in its stead: it ran longer than its stage's timeout."""
    STOP = "stop"
    """Its worker stopped it on request: a cancel or a drain."""
    LOSE = "lose"
    """The rescuer: the lease ran out. Or a worker that finds it has no such process."""


_P, _S = PipelineStatus, StageStatus

PIPELINE_MOVES: Mapping[PipelineEvent, Mapping[PipelineStatus | None, PipelineStatus]] = {
    PipelineEvent.CREATE: {None: _P.PENDING},
    PipelineEvent.START: {_P.PENDING: _P.RUNNING},
    PipelineEvent.PAUSE: {_P.RUNNING: _P.PAUSED},
    PipelineEvent.RESUME: {_P.PAUSED: _P.RUNNING},
    PipelineEvent.CANCEL: {
        _P.PENDING: _P.CANCELLING,
        _P.RUNNING: _P.CANCELLING,
        _P.PAUSED: _P.CANCELLING,
        _P.CANCELLING: _P.CANCELLING,
    },
    PipelineEvent.RETRY: {_P.FAILED: _P.RUNNING, _P.CANCELLED: _P.RUNNING},
    PipelineEvent.SETTLE_COMPLETED: {_P.RUNNING: _P.COMPLETED, _P.PAUSED: _P.COMPLETED},
    PipelineEvent.SETTLE_FAILED: {_P.RUNNING: _P.FAILED, _P.PAUSED: _P.FAILED},
    PipelineEvent.SETTLE_CANCELLED: {_P.CANCELLING: _P.CANCELLED},
}

STAGE_MOVES: Mapping[StageEvent, Mapping[StageStatus | None, StageStatus]] = {
    StageEvent.CREATE: {None: _S.PENDING},
    StageEvent.RELEASE: {_S.PENDING: _S.QUEUED},
    StageEvent.SKIP: {_S.PENDING: _S.SKIPPED},
    StageEvent.CLAIM: {_S.QUEUED: _S.RUNNING},
    StageEvent.COMPLETE: {_S.RUNNING: _S.COMPLETED},
    StageEvent.FAIL: {_S.RUNNING: _S.FAILED},
    StageEvent.RETRY_LATER: {_S.RUNNING: _S.RETRYING},
    StageEvent.DRAIN: {_S.RUNNING: _S.RETRYING},
    StageEvent.RESCUE: {_S.RUNNING: _S.RETRYING},
    StageEvent.QUARANTINE: {_S.RUNNING: _S.FAILED},
    StageEvent.QUEUE_AGAIN: {_S.RETRYING: _S.QUEUED},
    StageEvent.EXPIRE: {_S.QUEUED: _S.FAILED, _S.RETRYING: _S.FAILED},
    StageEvent.CANCEL: {
        _S.PENDING: _S.CANCELLED,
        _S.QUEUED: _S.CANCELLED,
        _S.RETRYING: _S.CANCELLED,
        _S.RUNNING: _S.RUNNING,
    },
    StageEvent.STOP: {_S.RUNNING: _S.CANCELLED},
    StageEvent.RETRY: {_S.FAILED: _S.PENDING, _S.CANCELLED: _S.PENDING},
    StageEvent.REVIVE: {_S.SKIPPED: _S.PENDING, _S.COMPLETED: _S.PENDING},
}

ATTEMPT_MOVES: Mapping[AttemptEvent, Mapping[Outcome | None, Outcome]] = {
    AttemptEvent.COMPLETE: {None: Outcome.COMPLETED},
    AttemptEvent.FAIL: {None: Outcome.FAILED},
    AttemptEvent.TIME_OUT: {None: Outcome.TIMED_OUT},
    AttemptEvent.STOP: {None: Outcome.CANCELLED},
    AttemptEvent.LOSE: {None: Outcome.LOST},
}

_GOING_ON = frozenset({_P.RUNNING, _P.PAUSED})

ONLY_WHILE: Mapping[StageEvent, frozenset[PipelineStatus]] = {
    StageEvent.RELEASE: _GOING_ON,
    StageEvent.SKIP: _GOING_ON,
    StageEvent.CLAIM: frozenset({_P.RUNNING}),
    StageEvent.FAIL: _GOING_ON,
    StageEvent.RETRY_LATER: _GOING_ON,
    StageEvent.DRAIN: _GOING_ON,
    StageEvent.RESCUE: _GOING_ON,
    StageEvent.QUARANTINE: _GOING_ON,
    StageEvent.QUEUE_AGAIN: _GOING_ON,
    StageEvent.EXPIRE: frozenset({_P.RUNNING}),
}
"""The stage events that ask for a certain status of the pipeline; the others do not depend on it.

Pause holds back claims, and the clock of what waits. Once a cancel is in, nothing starts, and an attempt that ends in
any way but completed was stopped: its stage ends as cancelled.
"""


class Refused(Conflict):
    """The event does not fit the present state; the sentence says which states it would fit."""


def next_pipeline(status: PipelineStatus | None, event: PipelineEvent) -> PipelineStatus:
    """The status after the event, where None is a pipeline that does not exist yet. Raises Refused."""
    return _next("pipeline", "missing", PIPELINE_MOVES[event], status, event)


def next_stage(
    status: StageStatus | None,
    event: StageEvent,
    pipeline: PipelineStatus = PipelineStatus.RUNNING,
) -> StageStatus:
    """The status after the event, where None is a stage that does not exist yet. Raises Refused."""
    if pipeline not in ONLY_WHILE.get(event, PipelineStatus):
        raise Refused(f"cannot {_verb(event)} a stage while its pipeline is {pipeline}", state=pipeline.value)
    return _next("stage", "missing", STAGE_MOVES[event], status, event)


def next_attempt(outcome: Outcome | None, event: AttemptEvent) -> Outcome:
    """The outcome after the event, where None is an attempt that is still open. Raises Refused."""
    return _next("attempt", "open", ATTEMPT_MOVES[event], outcome, event)


def settled(statuses: Iterable[StageStatus], pipeline: PipelineStatus) -> PipelineStatus | None:
    """How a pipeline ends whose stages have these statuses; None while it goes on, has not begun or has ended.

    Stages that have ended badly and were allowed to are to be left out.
    """
    present = frozenset(statuses)
    if not present <= STAGE_TERMINAL or pipeline is PipelineStatus.PENDING or pipeline in PIPELINE_TERMINAL:
        return None
    if pipeline is PipelineStatus.CANCELLING:
        return PipelineStatus.CANCELLED
    if present & {StageStatus.FAILED, StageStatus.CANCELLED}:
        return PipelineStatus.FAILED
    return PipelineStatus.COMPLETED


def _next(noun: str, none: str, moves: Mapping[_State | None, _State], state: _State | None, event: StrEnum) -> _State:
    if state in moves:
        return moves[state]
    fitting = " or ".join(each or none for each in moves)
    raise Refused(f"cannot {_verb(event)} a {noun} that is {state or none}, only one that is {fitting}", state=state)


def _verb(event: StrEnum) -> str:
    return event.replace("_", " ")
