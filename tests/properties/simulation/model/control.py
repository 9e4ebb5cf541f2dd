"""What clients ask for: cancel, pause, resume and retry a pipeline, cancel and retry a stage, purge, pause a queue.

Each answers the pipeline's status where the call does not fit, which the API makes a 409.
"""

from enum import StrEnum

from app.core import transitions
from app.core.transitions import PIPELINE_MOVES, STAGE_MOVES, PipelineEvent, StageEvent
from schemas.event import EventType
from schemas.states import STAGE_TERMINAL, PipelineStatus, StageStatus
from tests.properties.simulation.model import journal, release, submit
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
        stage.retry_at = stage.give_up_at = None
        stage.propagated = True
    cancelled = [(EventType.STAGE_CANCELLED, stage.position, stage.attempt, None) for stage in stopped]
    journal.append(pipeline, [(EventType.PIPELINE_CANCELLING, None, 0, None), *cancelled])
    journal.settle(pipeline)
    return []


def is_waiting(stage: Stage) -> bool:
    """Whether a cancel ends it at once."""
    return stage.status in {StageStatus.PENDING, StageStatus.QUEUED, StageStatus.RETRYING}


def cancel_stage(db: Database, _now: float, position: int) -> list[Job] | StrEnum:
    """→ cancelled: at once if it waits, by its worker if it runs."""
    pipeline, stage = db.pipeline, db.pipeline.stages[position]
    if stage.status in STAGE_TERMINAL:
        return stage.status
    if pipeline.status is PipelineStatus.PENDING:
        return pipeline.status
    if stage.status is StageStatus.RUNNING:
        stage.cancel_asked = True
    else:
        _stop_singly(pipeline, [stage])
    return []


def purge(db: Database, _now: float) -> list[Job]:
    """Cancel what is queued, never what runs."""
    _stop_singly(db.pipeline, [stage for stage in db.pipeline.stages if stage.status is StageStatus.QUEUED])
    return []


def _stop_singly(pipeline: Pipeline, stages: list[Stage]) -> None:
    for stage in stages:
        journal.move(pipeline, stage, StageEvent.CANCEL)
        stage.retry_at = stage.give_up_at = None
        stage.propagated = not stage.dependents
    journal.append(pipeline, [(EventType.STAGE_CANCELLED, stage.position, stage.attempt, None) for stage in stages])


def pause(db: Database, now: float) -> Answer:
    """running → paused: no dispatch and no claims; releases go on, and what runs finishes."""
    answer = _turn(db, PipelineEvent.PAUSE, EventType.PIPELINE_PAUSED)
    if isinstance(answer, list):
        db.pipeline.paused_at = now
    return answer


def resume(db: Database, now: float) -> Answer:
    """paused → running, and everything that is queued is dispatched again."""
    answer = _turn(db, PipelineEvent.RESUME, EventType.PIPELINE_RESUMED)
    if isinstance(answer, list):
        give_time_back(db.pipeline, now, db.pipeline.paused_at)
    return answer


def pause_queue(db: Database, now: float) -> list[Job]:
    """Hold back what waits in the queue; twice is no error."""
    db.queue_paused_at = now if db.queue_paused_at is None else db.queue_paused_at
    return []


def resume_queue(db: Database, now: float) -> list[Job]:
    """Let it go, and dispatch it again."""
    if db.queue_paused_at is not None:
        give_time_back(db.pipeline, now, db.queue_paused_at)
        db.queue_paused_at = None
    return journal.to_dispatch(db, [stage for stage in db.pipeline.stages if stage.status is StageStatus.QUEUED])


def give_time_back(pipeline: Pipeline, now: float, since: float) -> None:
    """What waits is not given up for time that it could not have started in."""
    for stage in pipeline.stages:
        if stage.give_up_at is not None:
            stage.give_up_at += now - max(since, stage.queued_at)


def _turn(db: Database, event: PipelineEvent, told_as: EventType) -> Answer:
    pipeline = db.pipeline
    if pipeline.status not in PIPELINE_MOVES[event]:
        return pipeline.status
    pipeline.status = transitions.next_pipeline(pipeline.status, event)
    journal.append(pipeline, [(told_as, None, 0, None)])
    return journal.to_dispatch(db, [s for s in pipeline.stages if s.status is StageStatus.QUEUED])


def retry(db: Database, now: float) -> list[Job] | StrEnum:
    """failed | cancelled → running: what went wrong begins again with all that waits for it, attempts counted on.

    It settles first, so that a pipeline whose last completion has not been followed up can be retried. The stages that
    are kept tell the others once more, in a release at the end.
    """
    return _retry(db, now, None)


def retry_stage(db: Database, now: float, position: int) -> list[Job] | StrEnum:
    """The same for one stage and what waits for it."""
    return _retry(db, now, position)


def _retry(db: Database, now: float, only: int | None) -> list[Job] | StrEnum:
    pipeline = db.pipeline
    settle_first(pipeline)
    if pipeline.status not in PIPELINE_MOVES[PipelineEvent.RETRY]:
        return pipeline.status
    if only is not None and pipeline.stages[only].status not in release.WENT_WRONG:
        return pipeline.stages[only].status
    pipeline.status = transitions.next_pipeline(pipeline.status, PipelineEvent.RETRY)
    chosen = begin_again(pipeline, only)
    for stage in pipeline.stages:
        if stage.position in chosen:
            _begin_again(pipeline, stage)
        else:
            stage.propagated = is_told_by_retry(stage)
    pipeline.open_stages = sum(stage.status not in STAGE_TERMINAL for stage in pipeline.stages)
    pipeline.broken_stages = sum(
        stage.status in release.WENT_WRONG and journal.breaks(stage) for stage in pipeline.stages
    )
    journal.append(pipeline, [(EventType.PIPELINE_STARTED, None, 0, None, tuple(chosen))])
    queued = submit.queue_roots(pipeline, now)
    return journal.to_dispatch(db, queued) + release.release(db, now, len(pipeline.stages)).queued


def settle_first(pipeline: Pipeline) -> None:
    """The last completion may not have settled it yet."""
    journal.settle(pipeline)


def begin_again(pipeline: Pipeline, only: int | None) -> list[int]:
    """``stages_to_retry``: what went wrong, or the one that is asked for, and all that waits for it."""
    chosen = [only] if only is not None else [s.position for s in pipeline.stages if s.status in release.WENT_WRONG]
    for position in chosen:  # grows on the way
        chosen += [each for each in pipeline.stages[position].dependents if each not in chosen]
    return sorted(chosen)


def is_told_by_retry(stage: Stage) -> bool:
    """Whether a stage that is kept has nobody to tell once more."""
    return not stage.dependents


def _begin_again(pipeline: Pipeline, stage: Stage) -> None:
    is_revived = stage.status in STAGE_MOVES[StageEvent.REVIVE]
    journal.move(pipeline, stage, StageEvent.REVIVE if is_revived else StageEvent.RETRY)
    stage.propagated = stage.cancel_asked = False
    stage.expires_at = None
    stage.unmet = unmet_now(stage)
    grant_budget(stage)


def grant_budget(stage: Stage) -> None:
    """Its errors and losses so far no longer count; its attempts do."""
    stage.failures = 0
    stage.losses = 0


def unmet_now(stage: Stage) -> int:
    """What it waits for: all of it, until it is told."""
    return len(stage.dependencies)
