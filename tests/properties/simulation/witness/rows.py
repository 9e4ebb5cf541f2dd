"""What the rows say, counted again from the history: after every transaction the two must agree."""

from schemas.states import StageStatus, TriggerRule
from tests.properties.simulation.model.records import Pipeline, Stage
from tests.properties.simulation.witness.history import TERMINAL, History, StageHistory
from tests.properties.simulation.witness.violation import Violation

S = StageStatus
WENT_WRONG = (S.FAILED, S.CANCELLED)


def compare(pipeline: Pipeline, history: History) -> None:
    """Recount statuses and counters."""
    if pipeline.status is not history.status:
        raise Violation("events_tell_all", f"the pipeline is {pipeline.status}, its events say {history.status}")
    open_stages = broken = 0
    for stage, told in zip(pipeline.stages, history.stages, strict=True):
        status = stage.status
        if status is not told.status:
            raise Violation("events_tell_all", f"stage {stage.position} is {status}, its events say {told.status}")
        if status not in TERMINAL:
            open_stages += 1
            if stage.propagated:
                raise Violation("counters", f"stage {stage.position} is {status} and propagated")
            if status is S.PENDING:
                _check_unmet(pipeline, stage, history)
        elif status in WENT_WRONG and not stage.allow_failure:
            broken += 1
        _check_attempts(stage, told)
    if (open_stages, broken, pipeline.last_seq) != (pipeline.open_stages, pipeline.broken_stages, history.seq):
        counters = (pipeline.open_stages, pipeline.broken_stages, pipeline.last_seq)
        raise Violation("counters", f"open, broken, seq are {counters}, not {(open_stages, broken, history.seq)}")


def _check_unmet(pipeline: Pipeline, stage: Stage, history: History) -> None:
    unmet = 0
    for awaited in stage.dependencies:
        before, told = pipeline.stages[awaited], history.stages[awaited]
        counts = told.went_well if stage.trigger_rule is TriggerRule.ALL_COMPLETED else before.status in TERMINAL
        unmet += not counts or not before.propagated
    if unmet != stage.unmet:
        raise Violation("counters", f"stage {stage.position} waits for {unmet} and says {stage.unmet}")


def _check_attempts(stage: Stage, told: StageHistory) -> None:
    running = told.status is S.RUNNING
    if running is not told.is_open or running is not (stage.lease_token is not None):
        raise Violation("one_holder", f"stage {stage.position} is {told.status}; held by {stage.lease_token}")
    if stage.attempt != told.attempt or len(stage.attempts) != told.attempt:
        raise Violation("attempts_counted", f"stage {stage.position} has {stage.attempt} attempts, not {told.attempt}")
    if stage.dispatch_token != told.queued:
        raise Violation("dispatch_counted", f"stage {stage.position} was queued {told.queued} times")
