"""From what a client wrote to what is stored: a checked pipeline with every default filled in.

Every rule looks at the whole request and all faults are told at once, each with a JSON Pointer into the body, so that
a client repairs a file in one go.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from msgspec import Struct

from app.core.characters import spec_faults
from app.core.dependencies import Edge, dependency_faults, edges_of, merged
from app.core.params import schema_faults, storable_faults
from app.core.reference_types import reference_faults
from app.core.references import written_in
from app.core.wording import did_you_mean, quoted
from app.errors import InvalidRequest
from schemas import limits
from schemas.pipeline import PipelineSpec, StageSpec
from schemas.problem import Fault
from schemas.queue import Queue, Slot
from schemas.states import TriggerRule
from schemas.task import TaskType

FAULTS_MAX = 50


class PlannedStage(Struct, frozen=True):
    """A stage to be stored.

    Its params still have their references in place, ``references`` lists them as ``{param: text}``, and
    ``depends_on`` has every edge once, the inferred ones included.
    """

    name: str
    task: str
    queue: Queue
    slot: Slot
    params: dict[str, Any]
    references: dict[str, str]
    depends_on: list[str]
    max_retries: int
    retry_delay_s: float
    timeout_s: float
    retry_backoff: float = 1.0
    retry_delay_max_s: float = limits.RETRY_DELAY_CAP_DEFAULT_S
    queue_timeout_s: float | None = None
    total_timeout_s: float | None = None
    trigger_rule: TriggerRule = TriggerRule.ALL_COMPLETED
    allow_failure: bool = False


class Plan(Struct, frozen=True):
    """A pipeline that may be stored as it is; ``uuid`` is the one that its client has chosen."""

    name: str
    description: str
    priority: int
    labels: dict[str, str]
    start: bool
    stages: list[PlannedStage]
    uuid: UUID | None = None


def plan(spec: PipelineSpec, task_types: Mapping[str, TaskType], *, stages_max: int) -> Plan:
    """Check a decoded create call against the registered tasks and fill in what it left open.

    Raises InvalidRequest with all faults, or with the first ``FAULTS_MAX`` of very many.
    """
    _refuse_if_any(_size_faults(spec, stages_max))
    unstorable = [
        list(islice(storable_faults(stage.params, f"/stages/{position}"), FAULTS_MAX))
        for position, stage in enumerate(spec.stages)
    ]
    written = [{} if found else written_in(stage.params) for stage, found in zip(spec.stages, unstorable, strict=True)]
    edges = list(islice(edges_of(spec, written), limits.EDGES_MAX + 1))
    _refuse_if_any(_edges_faults(edges))
    _refuse_if_any(_faults(spec, task_types, unstorable, written, edges))

    waits_for = merged((stage.name for stage in spec.stages), edges)
    return Plan(
        name=spec.name,
        description=spec.description,
        priority=spec.priority,
        labels=spec.labels,
        start=spec.start,
        stages=[
            _planned(stage, spec.max_retries, task_types[stage.task], refers_to, waits_for[stage.name])
            for stage, refers_to in zip(spec.stages, written, strict=True)
        ],
    )


def _planned(
    stage: StageSpec,
    max_retries: int,
    task_type: TaskType,
    references: dict[str, str],
    depends_on: list[str],
) -> PlannedStage:
    return PlannedStage(
        name=stage.name,
        task=stage.task,
        queue=task_type.queue if stage.queue is None else stage.queue,
        slot=task_type.slot,
        params=stage.params,
        references=references,
        depends_on=depends_on,
        max_retries=max_retries if stage.max_retries is None else stage.max_retries,
        retry_delay_s=stage.retry_delay,
        retry_backoff=stage.retry_backoff,
        retry_delay_max_s=stage.retry_delay_max,
        timeout_s=stage.timeout,
        queue_timeout_s=stage.queue_timeout,
        total_timeout_s=stage.total_timeout,
        trigger_rule=stage.trigger_rule,
        allow_failure=stage.allow_failure,
    )


def _refuse_if_any(faults: Iterator[Fault]) -> None:
    told = tuple(islice(faults, FAULTS_MAX))
    if told:
        raise refusal_of(told)


def refusal_of(faults: tuple[Fault, ...]) -> InvalidRequest:
    """The error that tells these faults, one or more."""
    count = f"{FAULTS_MAX} or more" if len(faults) == FAULTS_MAX else len(faults)
    detail = faults[0].detail if len(faults) == 1 else f"{count} things are wrong; the first: {faults[0].detail}"
    return InvalidRequest(detail, faults=faults)


def _size_faults(spec: PipelineSpec, stages_max: int) -> Iterator[Fault]:
    if len(spec.stages) > stages_max:
        detail = f"a pipeline may have {stages_max} stages at most, not {len(spec.stages)}"
        yield Fault("too_many_stages", detail, "/stages")


def _edges_faults(edges: Sequence[Edge]) -> Iterator[Fault]:
    if len(edges) > limits.EDGES_MAX:
        detail = f"a pipeline may have {limits.EDGES_MAX} dependencies at most, those that references imply included"
        yield Fault("too_many_dependencies", detail, "/stages")


def _faults(
    spec: PipelineSpec,
    task_types: Mapping[str, TaskType],
    unstorable: Sequence[Sequence[Fault]],
    written: Sequence[Mapping[str, str]],
    edges: Sequence[Edge],
) -> Iterator[Fault]:
    yield from spec_faults(spec)
    waiting = {edge.stage for edge in edges}
    for position, stage in enumerate(spec.stages):
        yield from unstorable[position]
        yield from _task_faults(stage, task_types, f"/stages/{position}")
        if stage.trigger_rule is TriggerRule.ANY_FAILED and stage.name not in waiting:
            detail = "waits for a failure of what it depends on, and depends on nothing"
            yield Fault("rule_without_dependencies", detail, f"/stages/{position}/trigger_rule")
        if stage.task in task_types and not unstorable[position]:
            referring = frozenset(written[position])
            yield from schema_faults(stage.params, task_types[stage.task], f"/stages/{position}", referring)
    yield from dependency_faults(spec, edges)
    yield from reference_faults(spec, task_types, written)


def _task_faults(stage: StageSpec, task_types: Mapping[str, TaskType], stage_at: str) -> Iterator[Fault]:
    if stage.task not in task_types:
        guess = did_you_mean(stage.task, task_types.keys())
        yield Fault("unknown_task", f"no worker runs a task named {quoted(stage.task)}{guess}", f"{stage_at}/task")
