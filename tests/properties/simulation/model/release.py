"""Release, the second of the two acts: ``release_pipelines``, for one pipeline, at any time and again and again."""

from typing import NamedTuple

from app.core.transitions import StageEvent
from schemas.event import EventType
from schemas.states import STAGE_TERMINAL, StageStatus
from tests.properties.simulation.model import journal, submit
from tests.properties.simulation.model.records import Database, Job, Pipeline, Stage

BATCH = 500


class Released(NamedTuple):
    """The answer: jobs to dispatch, and whether there may be more to release."""

    queued: list[Job]
    more: bool

    def __repr__(self) -> str:
        return f"to dispatch {self.queued}{', and more' * self.more}"


def release(db: Database, now: float, batch: int = BATCH) -> Released:
    """Tell the dependents of what has ended, queue the retries that are due, settle."""
    pipeline, queued, news, handled = db.pipeline, [], [], 0
    while handled < batch and (ended := take_ended(pipeline, batch)):
        handled += len(ended)
        newly = _release_dependents(pipeline, now, [stage for stage in ended if is_well(stage)])
        queued += newly
        news += submit.queued_news(newly)
        skipped = skip_dependents(pipeline, [stage for stage in ended if not is_well(stage)])
        news += [(EventType.STAGE_SKIPPED, stage.position, stage.attempt, None) for stage in skipped]
        if all(is_well(stage) for stage in ended):
            break  # without a skip nothing new has ended
    due = [stage for stage in pipeline.stages if is_due(stage, now)]
    for stage in due:
        submit.queue(pipeline, stage, now, StageEvent.QUEUE_AGAIN)
    queued += due
    journal.append(pipeline, news + submit.queued_news(due))
    journal.settle(pipeline)
    return Released(journal.to_dispatch(pipeline, queued), more=handled >= batch)


def take_ended(pipeline: Pipeline, batch: int) -> list[Stage]:
    """At most ``batch`` stages that have ended and whose dependents were not told; from now on they were."""
    ended = [stage for stage in pipeline.stages if stage.status in STAGE_TERMINAL and not stage.propagated][:batch]
    for stage in ended:
        stage.propagated = True
    return ended


def is_well(stage: Stage) -> bool:
    """Whether its dependents may go on."""
    return stage.status is StageStatus.COMPLETED


def _release_dependents(pipeline: Pipeline, now: float, completed: list[Stage]) -> list[Stage]:
    """Count down what waits for these, and release what now waits for nothing."""
    released, met = [], count_met(completed)
    for position in sorted(met):
        waiting = pipeline.stages[position]
        if waiting.status is StageStatus.PENDING:
            waiting.unmet -= met[position]
            if waits_for_nothing(pipeline, waiting):
                submit.queue(pipeline, waiting, now, StageEvent.RELEASE)
                released.append(waiting)
    return released


def count_met(completed: list[Stage]) -> dict[int, int]:
    """How many dependencies of each dependent these are."""
    met: dict[int, int] = {}
    for stage in completed:
        for dependent in stage.dependents:
            met[dependent] = met.get(dependent, 0) + 1
    return met


def waits_for_nothing(_pipeline: Pipeline, stage: Stage) -> bool:
    """Whether the last dependency has completed."""
    return stage.unmet == 0


def skip_dependents(pipeline: Pipeline, broken: list[Stage]) -> list[Stage]:
    """Skip what waits in vain; their own dependents follow in the next round."""
    skipped = []
    for position in sorted({dependent for stage in broken for dependent in stage.dependents}):
        waiting = pipeline.stages[position]
        if waiting.status is StageStatus.PENDING:
            journal.move(pipeline, waiting, StageEvent.SKIP)
            waiting.propagated = not waiting.dependents
            skipped.append(waiting)
    return skipped


def is_due(stage: Stage, now: float) -> bool:
    """Whether its next attempt may be queued."""
    return stage.status is StageStatus.RETRYING and stage.retry_at is not None and stage.retry_at <= now


def is_releasable(db: Database, now: float) -> bool:
    """The sweep's question: has a lost hint left something behind?"""
    pipeline = db.pipeline
    if journal.is_over(pipeline) and pipeline.status in journal.SETTLES:
        return True
    return any(
        (stage.status in STAGE_TERMINAL and not stage.propagated) or is_due(stage, now) for stage in pipeline.stages
    )


def queued_jobs(db: Database, now: float, min_age_s: float) -> list[Job]:
    """The dispatcher's question: what should be on Redis?"""
    queued = [s for s in db.pipeline.stages if s.status is StageStatus.QUEUED and s.queued_at <= now - min_age_s]
    return journal.to_dispatch(db.pipeline, queued)
