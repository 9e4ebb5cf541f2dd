"""Create and start: ``create_pipeline``, ``start_pipeline``, ``queue_roots``."""

from collections.abc import Sequence

from app.core import transitions
from app.core.transitions import PIPELINE_MOVES, PipelineEvent, StageEvent
from schemas.event import EventType
from schemas.states import PipelineStatus, StageStatus
from tests.properties.simulation.model import journal
from tests.properties.simulation.model.records import Database, Job, Pipeline, Stage, StagePlan


def create(now: float, plans: Sequence[StagePlan], *, start: bool) -> tuple[Database, list[Job]]:
    """Store a pipeline, and start it if asked to; the jobs are to be dispatched."""
    stages = [Stage(position, plan) for position, plan in enumerate(plans)]
    for stage in stages:
        for awaited in stage.dependencies:
            stages[awaited].dependents.append(stage.position)
        stage.unmet = unmet_at_first(stage)
    db = Database(pipeline := Pipeline(stages))
    pipeline.status = transitions.next_pipeline(None, PipelineEvent.CREATE)
    journal.append(pipeline, [(EventType.PIPELINE_CREATED, None, 0, None)])
    return db, (_start(db, now) if start else [])


def unmet_at_first(stage: Stage) -> int:
    """How many dependencies have not completed."""
    return len(stage.dependencies)


def start(db: Database, now: float) -> list[Job] | PipelineStatus:
    """pending → running, releasing the roots; answers the status where that does not fit."""
    if db.pipeline.status not in PIPELINE_MOVES[PipelineEvent.START]:
        return db.pipeline.status
    return _start(db, now)


def _start(db: Database, now: float) -> list[Job]:
    pipeline = db.pipeline
    pipeline.status = transitions.next_pipeline(pipeline.status, PipelineEvent.START)
    journal.append(pipeline, [(EventType.PIPELINE_STARTED, None, 0, None)])
    return journal.to_dispatch(db, queue_roots(pipeline, now))


def queue_roots(pipeline: Pipeline, now: float) -> list[Stage]:
    """Release the stages that wait for nothing."""
    roots = [stage for stage in pipeline.stages if stage.status is StageStatus.PENDING and stage.unmet == 0]
    for stage in roots:
        queue(pipeline, stage, now, StageEvent.RELEASE)
    journal.append(pipeline, queued_news(roots))
    return roots


def queue(pipeline: Pipeline, stage: Stage, now: float, event: StageEvent) -> None:
    """→ queued, under a new dispatch token."""
    journal.move(pipeline, stage, event)
    stage.dispatch_token = next_dispatch_token(stage)
    stage.queued_at = now
    stage.retry_at = None
    if event is StageEvent.RELEASE:
        stage.expires_at = None if stage.total_timeout_s is None else now + stage.total_timeout_s
    stage.give_up_at = give_up_at(stage, now)


def give_up_at(stage: Stage, now: float) -> float | None:
    """When a stage that is queued now has waited long enough; None if it may wait for ever."""
    ends = [] if stage.queue_timeout_s is None else [now + stage.queue_timeout_s]
    ends += [] if stage.expires_at is None else [stage.expires_at]
    return min(ends, default=None)


def next_dispatch_token(stage: Stage) -> int:
    """It counts the times that the stage was queued, so that old jobs are known."""
    return stage.dispatch_token + 1


def queued_news(queued: list[Stage]) -> list[journal.New]:
    """Their events."""
    return [(EventType.STAGE_QUEUED, stage.position, stage.attempt, None) for stage in queued]
