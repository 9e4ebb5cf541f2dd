"""Every mistake of a pipeline that is not submitted yet, the shape of each stage included, as far as is known here."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from app.core.decoding import fault_of
from app.core.plan import plan
from app.errors import InvalidRequest
from schemas import limits
from schemas.pipeline import PipelineSpec, StageSpec
from schemas.problem import Fault
from schemas.queue import Queue, Slot
from schemas.task import TaskType

_STAND_IN = {"name": "a", "task": "a"}


def lint(spec: Mapping[str, Any], task_types: Mapping[str, TaskType]) -> tuple[list[Fault], list[str]]:
    """The faults of a decoded file, and the tasks among its stages' that ``task_types`` does not know.

    Those are taken for tasks that accept and return anything.
    """
    try:
        whole = msgspec.convert(spec, PipelineSpec)
    except msgspec.ValidationError as error:
        return list(_shape_faults(spec)) or [fault_of(str(error))], []
    unknown = sorted({stage.task for stage in whole.stages} - task_types.keys())
    guessed = {name: TaskType(name, Queue.DEFAULT, Slot.PROCESS, "", {}, {}) for name in unknown}
    try:
        plan(whole, {**task_types, **guessed}, stages_max=limits.STAGES_MAX)
    except InvalidRequest as refusal:
        return list(refusal.faults), unknown
    return [], unknown


def _shape_faults(spec: Mapping[str, Any]) -> Iterator[Fault]:
    """The first misfit of each stage, and of each field beside them: a decoder stops at the first of all."""
    stages = spec.get("stages")
    for position, stage in enumerate(stages if isinstance(stages, list) else ()):
        yield from _misfit(stage, StageSpec, "stages", position)
    whole = {"name": "a", "stages": [_STAND_IN]}
    for field, value in spec.items():
        if field != "stages" or not isinstance(stages, list) or not stages:
            yield from _misfit({**whole, field: value}, PipelineSpec)
    yield from (fault_of(f"Object missing required field `{name}`") for name in whole.keys() - spec.keys())


def _misfit(value: Any, model: Any, *before: str | int) -> Iterator[Fault]:
    try:
        msgspec.convert(value, model)
    except msgspec.ValidationError as error:
        yield fault_of(str(error), *before)
