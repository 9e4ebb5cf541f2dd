"""A task submitted on its own is a pipeline of one stage, planned by the same rules."""

import re
from collections.abc import Mapping

from msgspec.structs import replace

from app.core.plan import Plan, plan
from app.errors import InvalidRequest
from schemas import limits
from schemas.pipeline import PipelineSpec, StageSpec
from schemas.task import TaskSpec, TaskType

STAGE_POINTER = "/stages/0"


def plan_task(spec: TaskSpec, task_types: Mapping[str, TaskType]) -> Plan:
    """Check a submitted task and fill in what it left open.

    Raises InvalidRequest as ``plan`` does, with pointers into the body of the task.
    """
    try:
        return plan(_pipeline_of(spec), task_types, stages_max=1)
    except InvalidRequest as refusal:
        faults = tuple(replace(fault, pointer=_into_task(fault.pointer)) for fault in refusal.faults)
        raise InvalidRequest(refusal.detail, faults=faults) from None


def _pipeline_of(spec: TaskSpec) -> PipelineSpec:
    stage = StageSpec(
        name=_stage_name(spec.task),
        task=spec.task,
        params=spec.params,
        queue=spec.queue,
        max_retries=spec.max_retries,
        retry_delay=spec.retry_delay,
        retry_backoff=spec.retry_backoff,
        retry_delay_max=spec.retry_delay_max,
        timeout=spec.timeout,
        queue_timeout=spec.queue_timeout,
        total_timeout=spec.total_timeout,
    )
    return PipelineSpec(
        name=spec.name or spec.task, stages=[stage], priority=spec.priority, labels=spec.labels, start=True
    )


def _stage_name(task: str) -> str:
    """The task's own name as far as a stage may be called so."""
    name = re.sub(r"[^a-z0-9_-]+", "-", task.lower())[: limits.STAGE_NAME_MAX].strip("-_")
    return name or "task"


def _into_task(pointer: str | None) -> str | None:
    if pointer is None or not pointer.startswith(STAGE_POINTER):
        return pointer
    return pointer.removeprefix(STAGE_POINTER)
