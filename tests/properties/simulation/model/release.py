"""Release, the second of the two acts: ``release_pipelines``, for one pipeline, at any time and again and again."""

from typing import NamedTuple

from app.core.transitions import StageEvent
from schemas.event import EventType
from schemas.states import STAGE_TERMINAL, PipelineStatus, StageStatus, TriggerRule
from tests.properties.simulation.model import journal, submit
from tests.properties.simulation.model.records import Database, Job, Pipeline, Stage

BATCH = 500
WENT_WRONG = (StageStatus.FAILED, StageStatus.CANCELLED)


class Released(NamedTuple):
    """The answer: jobs to dispatch, and whether there may be more to release."""

    queued: list[Job]
    more: bool

    def __repr__(self) -> str:
        return f"to dispatch {self.queued}{', and more' * self.more}"


def release(db: Database, now: float, batch: int = BATCH) -> Released:
    """Fail what has waited too long, tell the dependents of what has ended, queue the retries that are due, settle."""
    pipeline, queued, handled = db.pipeline, [], 0
    news = expire(db, now)
    while handled < batch and (ended := take_ended(pipeline, batch)):
        handled += len(ended)
        newly, skipped = tell_dependents(pipeline, now, ended)
        queued += newly
        news += submit.queued_news(newly)
        news += [(EventType.STAGE_SKIPPED, stage.position, stage.attempt, None) for stage in skipped]
        if not skipped:
            break  # nothing new has ended
    due = [stage for stage in pipeline.stages if is_due(stage, now)]
    for stage in due:
        submit.queue(pipeline, stage, now, StageEvent.QUEUE_AGAIN)
    queued += due
    journal.append(pipeline, news + submit.queued_news(due))
    journal.settle(pipeline)
    return Released(journal.to_dispatch(db, queued), more=handled >= batch)


def expire(db: Database, now: float) -> list[journal.New]:
    """``expire_stages``: fail what has waited for a start for longer than it may; its events."""
    pipeline = db.pipeline
    expired = [stage for stage in pipeline.stages if is_expired(db, stage, now)]
    for stage in expired:
        journal.move(pipeline, stage, StageEvent.EXPIRE)
        stage.retry_at = stage.give_up_at = None
        stage.propagated = not stage.dependents
    return [(EventType.STAGE_FAILED, stage.position, stage.attempt, None) for stage in expired]


def is_expired(db: Database, stage: Stage, now: float) -> bool:
    """Whether it has waited too long, while nothing that is paused held it back."""
    waits = stage.give_up_at is not None and stage.give_up_at <= now
    return waits and db.pipeline.status is PipelineStatus.RUNNING and db.queue_paused_at is None


def take_ended(pipeline: Pipeline, batch: int) -> list[Stage]:
    """At most ``batch`` stages that have ended and whose dependents were not told; from now on they were."""
    ended = [stage for stage in pipeline.stages if stage.status in STAGE_TERMINAL and not stage.propagated][:batch]
    for stage in ended:
        stage.propagated = True
    return ended


def is_well(stage: Stage) -> bool:
    """Whether its dependents may go on."""
    return stage.status is StageStatus.COMPLETED or (stage.allow_failure and stage.status in WENT_WRONG)


def has_gone_wrong(stage: Stage) -> bool:
    """Whether an ``any_failed`` dependent is needed; one of those that was itself not needed has not gone wrong."""
    in_vain = stage.status is StageStatus.SKIPPED and stage.trigger_rule is not TriggerRule.ANY_FAILED
    return stage.status in WENT_WRONG or in_vain


def tell_dependents(pipeline: Pipeline, now: float, ended: list[Stage]) -> tuple[list[Stage], list[Stage]]:
    """Count down what waits for these; release or skip what now waits for nothing, or waits in vain."""
    released, skipped = [], []
    for position, told in sorted(by_dependent(ended).items()):
        waiting = pipeline.stages[position]
        if waiting.status is StageStatus.PENDING:
            waiting.unmet -= count_met(waiting, told)
            match decide(pipeline, waiting, told):
                case StageEvent.RELEASE:
                    submit.queue(pipeline, waiting, now, StageEvent.RELEASE)
                    released.append(waiting)
                case StageEvent.SKIP:
                    journal.move(pipeline, waiting, StageEvent.SKIP)
                    waiting.propagated = not waiting.dependents
                    skipped.append(waiting)
    return released, skipped


def by_dependent(ended: list[Stage]) -> dict[int, list[Stage]]:
    """Who waits for which of these."""
    told: dict[int, list[Stage]] = {}
    for stage in ended:
        for dependent in stage.dependents:
            told.setdefault(dependent, []).append(stage)
    return told


def count_met(waiting: Stage, told: list[Stage]) -> int:
    """How many of these count: where all must complete those that went well, else all that have ended."""
    return sum(waiting.trigger_rule is not TriggerRule.ALL_COMPLETED or is_well(stage) for stage in told)


def decide(pipeline: Pipeline, waiting: Stage, told: list[Stage]) -> StageEvent | None:
    """What becomes of a pending stage now that it has been told of these."""
    if waiting.trigger_rule is TriggerRule.ALL_COMPLETED and not all(is_well(stage) for stage in told):
        return StageEvent.SKIP
    if not waits_for_nothing(pipeline, waiting):
        return None
    if waiting.trigger_rule is TriggerRule.ANY_FAILED and not is_needed(pipeline, waiting):
        return StageEvent.SKIP
    return StageEvent.RELEASE


def waits_for_nothing(_pipeline: Pipeline, stage: Stage) -> bool:
    """Whether the last dependency that counts has ended."""
    return stage.unmet == 0


def is_needed(pipeline: Pipeline, stage: Stage) -> bool:
    """Whether something that an ``any_failed`` stage waited for has gone wrong."""
    return any(has_gone_wrong(pipeline.stages[awaited]) for awaited in stage.dependencies)


def is_due(stage: Stage, now: float) -> bool:
    """Whether its next attempt may be queued."""
    return stage.status is StageStatus.RETRYING and stage.retry_at is not None and stage.retry_at <= now


def is_releasable(db: Database, now: float) -> bool:
    """The sweep's question: has a lost hint left something behind?"""
    pipeline = db.pipeline
    if journal.is_over(pipeline) and pipeline.status in journal.SETTLES:
        return True
    return any(
        (stage.status in STAGE_TERMINAL and not stage.propagated) or is_due(stage, now) or is_expired(db, stage, now)
        for stage in pipeline.stages
    )


def queued_jobs(db: Database, now: float, min_age_s: float) -> list[Job]:
    """The dispatcher's question: what should be on Redis?"""
    queued = [s for s in db.pipeline.stages if s.status is StageStatus.QUEUED and s.queued_at <= now - min_age_s]
    return journal.to_dispatch(db, queued)
