"""Events: what happened to a pipeline, in the order it happened."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct

from schemas.states import PipelineStatus


class EventType(StrEnum):
    """The durable events: stored with the change they tell of, numbered from 1 without gaps per pipeline."""

    PIPELINE_CREATED = "pipeline.created"
    PIPELINE_STARTED = "pipeline.started"
    PIPELINE_PAUSED = "pipeline.paused"
    PIPELINE_RESUMED = "pipeline.resumed"
    PIPELINE_CANCELLING = "pipeline.cancelling"
    PIPELINE_COMPLETED = "pipeline.completed"
    PIPELINE_FAILED = "pipeline.failed"
    PIPELINE_CANCELLED = "pipeline.cancelled"
    STAGE_QUEUED = "stage.queued"
    STAGE_STARTED = "stage.started"
    STAGE_RETRYING = "stage.retrying"
    STAGE_COMPLETED = "stage.completed"
    STAGE_FAILED = "stage.failed"
    STAGE_SKIPPED = "stage.skipped"
    STAGE_CANCELLED = "stage.cancelled"


class LiveType(StrEnum):
    """Events without an id: told at most once a second per stage, kept nowhere, possibly lost."""

    STAGE_PROGRESS = "stage.progress"
    STAGE_METRICS = "stage.metrics"
    STAGE_LOG = "stage.log"


class Event(Struct, kw_only=True):
    """One event under the attribute names of CloudEvents 1.0; ``subject`` is the stage's name, if it has one."""

    id: str | None
    source: str
    type: str
    subject: str | None
    time: datetime
    data: dict[str, Any]


class SeenEvent(Struct):
    """An event of the stream of all pipelines, and the cursor to go on behind it."""

    cursor: str
    event: Event


class Traits(Struct, frozen=True):
    """What a stream may be filtered by: the state of an event's pipeline after the event, and its present labels."""

    status: PipelineStatus
    labels: dict[str, str]


class PlacedEvent(Traits, frozen=True):
    """An event among those of all pipelines, with its place."""

    place: int
    pipeline_id: int
    seq: int
    event: Event

    @property
    def key(self) -> tuple[int, int, int]:
        """What all events are ordered by."""
        return self.place, self.pipeline_id, self.seq


class LiveEvent(Struct, frozen=True):
    """A live report of a running stage on its way from a worker to the event streams."""

    pipeline: UUID
    type: LiveType
    subject: str
    data: dict[str, Any]
