"""What clients ask for: ``cancel_pipeline``; pause, resume and retry as DESIGN §2 has them, before their SQL exists.

Each answers the pipeline's status where the call does not fit, which the API makes a 409.
"""

from app.core import transitions
from app.core.transitions import PIPELINE_MOVES, PipelineEvent, StageEvent
from schemas.event import EventType
from schemas.states import STAGE_TERMINAL, PipelineStatus, StageStatus
from tests.properties.simulation.model import journal, submit
from tests.properties.simulation.model.records import Database, Job, Pipeline, Stage

Answer = list[Job] | PipelineStatus


def cancel(db: Database, _now: float) -> Answer:
    """→ cancelling: what waits is cancelled at once; with nothing running the pipeline settles here and now."""
    pipeline = db.pipeline
    if pipeline.status not in PIPELINE_MOVES[PipelineEvent.CANCEL]:
        return pipeline.status
    if pipeline.status is PipelineStatus.CANCELLING:
        return []
    pipeline.status = transitions.next_pipeline(pipeline.status, PipelineEvent.CANCEL)
    stopped = [stage for stage in pipeline.stages if is_waiting(stage)]
    for stage in stopped:
        journal.move(pipeline, stage, StageEvent.CANCEL)
        stage.retry_at = None
        stage.propagated = True
    cancelled = [(EventType.STAGE_CANCELLED, stage.position, stage.attempt, None) for stage in stopped]
    journal.append(pipeline, [(EventType.PIPELINE_CANCELLING, None, 0, None), *cancelled])
    journal.settle(pipeline)
    return []


def is_waiting(stage: Stage) -> bool:
    """Whether a cancel ends it at once."""
    return stage.status in {StageStatus.PENDING, StageStatus.QUEUED, StageStatus.RETRYING}


def pause(db: Database, _now: float) -> Answer:
    """running → paused: no dispatch and no claims; releases go on, and what runs finishes."""
    return _turn(db.pipeline, PipelineEvent.PAUSE, EventType.PIPELINE_PAUSED)


def resume(db: Database, _now: float) -> Answer:
    """paused → running, and everything that is queued is dispatched again."""
    return _turn(db.pipeline, PipelineEvent.RESUME, EventType.PIPELINE_RESUMED)


def _turn(pipeline: Pipeline, event: PipelineEvent, told_as: EventType) -> Answer:
    if pipeline.status not in PIPELINE_MOVES[event]:
        return pipeline.status
    pipeline.status = transitions.next_pipeline(pipeline.status, event)
    journal.append(pipeline, [(told_as, None, 0, None)])
    return journal.to_dispatch(pipeline, [s for s in pipeline.stages if s.status is StageStatus.QUEUED])


def retry(db: Database, now: float) -> Answer:
    """failed | cancelled → running: completed stages are kept, all others begin again, attempts counted on.

    It settles first, so that a pipeline whose last completion has not been followed up can be retried. It also counts
    anew what every stage waits for, whether or not the second act had told it: so nothing may be told again.
    """
    pipeline = db.pipeline
    settle_first(pipeline)
    if pipeline.status not in PIPELINE_MOVES[PipelineEvent.RETRY]:
        return pipeline.status
    pipeline.status = transitions.next_pipeline(pipeline.status, PipelineEvent.RETRY)
    for stage in pipeline.stages:
        if is_kept(stage):
            stage.propagated = is_told_by_retry()
        else:
            _begin_again(pipeline, stage)
    for stage in pipeline.stages:
        if stage.status is StageStatus.PENDING:
            stage.unmet = unmet_now(pipeline, stage)
    pipeline.open_stages = sum(stage.status not in STAGE_TERMINAL for stage in pipeline.stages)
    pipeline.broken_stages = 0
    journal.append(pipeline, [(EventType.PIPELINE_STARTED, None, 0, None)])
    return journal.to_dispatch(pipeline, submit.queue_roots(pipeline, now))


def settle_first(pipeline: Pipeline) -> None:
    """The last completion may not have settled it yet."""
    journal.settle(pipeline)


def is_kept(stage: Stage) -> bool:
    """Whether a retry leaves it as it is."""
    return stage.status is StageStatus.COMPLETED


def is_told_by_retry() -> bool:
    """Whether counting anew has told the dependents of a stage that is kept."""
    return True


def _begin_again(pipeline: Pipeline, stage: Stage) -> None:
    journal.move(pipeline, stage, StageEvent.REVIVE if stage.status is StageStatus.SKIPPED else StageEvent.RETRY)
    stage.propagated = False
    grant_budget(stage)


def grant_budget(stage: Stage) -> None:
    """Its errors and losses so far no longer count; its attempts do."""
    stage.failures = 0
    stage.losses = 0


def unmet_now(pipeline: Pipeline, stage: Stage) -> int:
    """How many of its dependencies have not completed."""
    return sum(pipeline.stages[awaited].status is not StageStatus.COMPLETED for awaited in stage.dependencies)
