"""From a schedule and a slot to a checked pipeline."""

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec.structs import replace

from app.core.lint import converted
from app.core.plan import Plan, plan, refusal_of
from app.core.template import plan_template
from app.errors import InvalidRequest
from schemas.problem import Fault
from schemas.schedule import DueSchedule, ScheduleSpec
from schemas.task import TaskType
from schemas.template import Submission, Template

LABEL = "headway.schedule"
SLOT_LABEL = "headway.slot"


def plan_slot(
    schedule: ScheduleSpec | DueSchedule,
    slot: datetime,
    template: Template | None,
    task_types: Mapping[str, TaskType],
    *,
    stages_max: int,
) -> Plan:
    """What is stored for a slot; ``template`` is None for a schedule that has a pipeline of its own.

    Raises InvalidRequest with pointers into the schedule.
    """
    labels = {**schedule.labels, LABEL: schedule.name, SLOT_LABEL: f"{slot.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    if template is not None:
        submission = Submission(params=schedule.params, priority=schedule.priority, labels=labels)
        planned = plan_template(template, submission, task_types, stages_max=stages_max)
    else:
        planned = _plan_own(schedule, labels, task_types, stages_max)
    if planned.uuid is not None:
        detail = "each slot makes a pipeline of its own, so it cannot be given a uuid"
        raise refusal_of((Fault("uuid_fixed", detail, "/params"),))
    return planned


def _plan_own(
    schedule: ScheduleSpec | DueSchedule, labels: Mapping[str, str], task_types: Mapping[str, TaskType], stages_max: int
) -> Plan:
    spec = {**(schedule.pipeline or {}), "start": True}
    if isinstance(spec.get("labels", {}), dict):
        spec["labels"] = {**spec.get("labels", {}), **labels}
    if schedule.priority is not None:
        spec["priority"] = schedule.priority
    try:
        return plan(converted(spec), task_types, stages_max=stages_max)
    except InvalidRequest as refusal:
        raise refusal_of(
            tuple(replace(fault, pointer=f"/pipeline{fault.pointer or ''}") for fault in refusal.faults)
        ) from None
