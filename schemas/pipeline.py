"""Pipelines as clients write them and as the API answers them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from schemas import limits
from schemas.queue import Queue
from schemas.stage import Stage
from schemas.states import PipelineStatus, StageStatus, TriggerRule

StageName = Annotated[
    str,
    Meta(pattern=limits.STAGE_NAME_PATTERN, max_length=limits.STAGE_NAME_MAX, description="unique in its pipeline"),
]
TaskName = Annotated[str, Meta(min_length=1, max_length=128)]
PipelineName = Annotated[str, Meta(min_length=1, max_length=limits.PIPELINE_NAME_MAX)]
Description = Annotated[str, Meta(max_length=limits.DESCRIPTION_MAX)]
Priority = Annotated[int, Meta(ge=limits.PRIORITY_MIN, le=limits.PRIORITY_MAX)]
MaxRetries = Annotated[int, Meta(ge=0, le=limits.MAX_RETRIES_MAX)]
LabelText = Annotated[str, Meta(min_length=1, max_length=limits.LABEL_MAX)]
Labels = Annotated[dict[LabelText, LabelText], Meta(max_length=limits.LABELS_MAX)]
Seconds = Annotated[float, Meta(ge=0, le=limits.RETRY_DELAY_MAX_S, description="seconds")]
Timeout = Annotated[float, Meta(ge=1, le=limits.TIMEOUT_MAX_S, description="seconds an attempt may run")]
WaitTimeout = Annotated[float, Meta(ge=1, le=limits.TIMEOUT_MAX_S, description="seconds, or null for no limit")]
Dependencies = Annotated[list[StageName], Meta(max_length=limits.DEPENDENCIES_PER_STAGE_MAX)]
Backoff = Annotated[
    float, Meta(ge=1, le=limits.RETRY_BACKOFF_MAX, description="each delay is so many times the one before")
]


class StageSpec(Struct, forbid_unknown_fields=True):
    """One node of a pipeline, as a client writes it.

    A param of the form ``{"from": "stages.prepare.result.dataset"}`` is a reference: it is replaced by that value when
    the stage starts, and its edge is inferred.

    Of an error of its own it recovers ``max_retries`` times, after ``retry_delay`` seconds, then ``retry_backoff``
    times as long each time up to ``retry_delay_max``, and a tenth more at most, so that many do not come back at
    once. ``queue_timeout`` bounds each wait for a worker, ``timeout`` each attempt, ``total_timeout`` all of it from
    the release on. A stage with ``allow_failure`` may fail, or be cancelled, without harm to its pipeline.
    """

    name: StageName
    task: TaskName
    params: dict[str, Any] = field(default_factory=dict)
    depends_on: Dependencies = field(default_factory=list)
    queue: Queue | None = None
    max_retries: MaxRetries | None = None
    retry_delay: Seconds = limits.RETRY_DELAY_DEFAULT_S
    retry_backoff: Backoff = 1.0
    retry_delay_max: Seconds = limits.RETRY_DELAY_CAP_DEFAULT_S
    timeout: Timeout = limits.TIMEOUT_DEFAULT_S
    queue_timeout: WaitTimeout | None = None
    total_timeout: WaitTimeout | None = None
    trigger_rule: TriggerRule = TriggerRule.ALL_COMPLETED
    allow_failure: bool = False


class PipelineSpec(Struct, forbid_unknown_fields=True):
    """The body of a create call: a named DAG of stages."""

    name: PipelineName
    stages: Annotated[list[StageSpec], Meta(min_length=1, max_length=limits.STAGES_HARD_MAX)]
    description: Description = ""
    priority: Priority = limits.PRIORITY_DEFAULT
    max_retries: MaxRetries = 0
    labels: Labels = field(default_factory=dict)
    start: bool = False
    dependencies: dict[StageName, Dependencies] = field(default_factory=dict)


class PipelinePatch(Struct, forbid_unknown_fields=True):
    """What may be changed on a stored pipeline; a field left out stays as it is."""

    name: PipelineName | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET


class PipelineSummary(Struct, kw_only=True):
    """One line of a list of pipelines."""

    uuid: UUID
    name: str
    description: str
    project: str
    status: PipelineStatus
    priority: int
    labels: dict[str, str]
    error: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Pipeline(PipelineSummary, kw_only=True):
    """Everything about one pipeline."""

    stages: list[Stage]
    stage_tasks: dict[str, UUID]
    results: dict[str, Any]


class PipelineProgress(Struct, kw_only=True):
    """The light answer of ``…/status``: ``progress`` is the share of the work done, 0 to 1."""

    uuid: UUID
    status: PipelineStatus
    progress: float
    counts: dict[str, int]
    stages: dict[str, StageStatus]


class PipelinePage(Struct, kw_only=True):
    """One page of a list; ``next_cursor`` is null on the last one."""

    items: list[PipelineSummary]
    next_cursor: str | None


class PlannedStage(Struct):
    """A stage as it would be stored; ``depends_on`` holds the inferred edges too."""

    name: str
    task: str
    queue: Queue
    depends_on: list[str]


class DryRun(Struct):
    """The answer to a create call with ``dry_run=true``: nothing is stored. What is not valid is answered by 422."""

    valid: bool
    name: str
    stages: list[PlannedStage]
