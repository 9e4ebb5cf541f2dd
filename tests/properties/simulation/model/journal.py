"""What every transition does under the lock: take a step of the grammar, number its events, keep the counters."""

from collections.abc import Iterable, Sequence
from typing import Any

from app.core import transitions
from app.core.transitions import PipelineEvent, StageEvent
from schemas.event import EventType
from schemas.states import PIPELINE_TERMINAL, PipelineStatus
from tests.properties.simulation.model.records import Database, Event, Job, Pipeline, Stage

New = tuple[Any, ...]
"""The fields of an Event behind its number."""

ENDED = frozenset(
    {EventType.STAGE_COMPLETED, EventType.STAGE_FAILED, EventType.STAGE_SKIPPED, EventType.STAGE_CANCELLED}
)
BROKEN = frozenset({EventType.STAGE_FAILED, EventType.STAGE_CANCELLED})
SETTLES = frozenset({PipelineStatus.RUNNING, PipelineStatus.PAUSED, PipelineStatus.CANCELLING})
SETTLED = {
    PipelineStatus.COMPLETED: EventType.PIPELINE_COMPLETED,
    PipelineStatus.FAILED: EventType.PIPELINE_FAILED,
    PipelineStatus.CANCELLED: EventType.PIPELINE_CANCELLED,
}


def move(pipeline: Pipeline, stage: Stage, event: StageEvent) -> None:
    """The only place where a stage changes its status. Raises Refused where the SQL would break the grammar."""
    stage.status = transitions.next_stage(stage.status, event, pipeline.status)


def append(pipeline: Pipeline, news: Sequence[New]) -> None:
    """``append_events``: gapless numbers, and the counters with them."""
    if not news:
        return
    seq = last_seq(pipeline)
    for event_type, position, *more in news:
        seq += 1
        pipeline.events.append(Event(seq, event_type, position, *more))
        pipeline.open_stages -= event_type in ENDED
        pipeline.broken_stages += event_type in BROKEN and breaks(pipeline.stages[position or 0])
    pipeline.last_seq = seq


def breaks(stage: Stage) -> bool:
    """Whether its going wrong makes its pipeline fail."""
    return not stage.allow_failure


def last_seq(pipeline: Pipeline) -> int:
    """The number of the last event, read under the lock."""
    return pipeline.last_seq


def settle(pipeline: Pipeline) -> None:
    """``settle_pipelines``: ends a pipeline that has no stage left to wait for."""
    if is_over(pipeline) and pipeline.status in SETTLES:
        pipeline.status = transitions.next_pipeline(pipeline.status, ending(pipeline))
        append(pipeline, [(SETTLED[pipeline.status], None, 0, None)])


def is_over(pipeline: Pipeline) -> bool:
    """Whether all of its stages are terminal, by the counter."""
    return pipeline.open_stages == 0


def ending(pipeline: Pipeline) -> PipelineEvent:
    """How it ends, by the counter."""
    if pipeline.status is PipelineStatus.CANCELLING:
        return PipelineEvent.SETTLE_CANCELLED
    return PipelineEvent.SETTLE_FAILED if pipeline.broken_stages else PipelineEvent.SETTLE_COMPLETED


def to_dispatch(db: Database, queued: Iterable[Stage]) -> list[Job]:
    """What the caller has to put on Redis after its commit: nothing unless the pipeline runs and the queue is open."""
    if db.pipeline.status is not PipelineStatus.RUNNING or db.queue_paused_at is not None:
        return []
    return [Job(stage.position, stage.dispatch_token) for stage in queued]


def is_terminal(pipeline: Pipeline) -> bool:
    """Whether it has settled."""
    return pipeline.status in PIPELINE_TERMINAL
