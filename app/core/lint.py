"""Every mistake of a pipeline that is not submitted yet, as far as is known here.

A decoder stops at the first misfit. Here each field is tried alone, and what does not fit is set aside, so that the
rest can still be judged: by ``lint`` here, or by a server that knows more tasks.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from app.core.decoding import fault_of
from app.core.plan import FAULTS_MAX, plan, refusal_of
from app.core.pointer import pointer
from app.errors import InvalidRequest
from schemas import limits
from schemas.pipeline import PipelineSpec, StageSpec
from schemas.problem import Fault
from schemas.queue import Queue, Slot
from schemas.task import TaskType

_STAND_IN = {"name": "a", "task": "noop"}
_WHOLE = {"name": "a", "stages": [_STAND_IN]}


class Shape(Struct):
    """What fits: ``rest`` is the pipeline without the misfits that ``faults`` tell of, None if too little is left."""

    faults: list[Fault] = []
    rest: dict[str, Any] | None = None
    aside: list[str] = []

    def sees(self, fault: Fault) -> bool:
        """Whether a fault of the rest is one of the pipeline too, and no consequence of what was set aside."""
        at = fault.pointer or ""
        return not any(
            is_within(at, hole) or (hole == f"{at}/params" and fault.code == "param_missing") for hole in self.aside
        )


def lint(spec: Mapping[str, Any], task_types: Mapping[str, TaskType]) -> tuple[list[Fault], list[str]]:
    """The faults of a decoded file, and the tasks among its stages' that ``task_types`` does not know.

    Those are taken for tasks that accept and return anything.
    """
    shape = shape_of(spec)
    if shape.rest is None:
        return shape.faults, []
    whole = msgspec.convert(shape.rest, PipelineSpec)
    unknown = sorted({stage.task for stage in whole.stages} - task_types.keys())
    guessed = {name: TaskType(name, Queue.DEFAULT, Slot.PROCESS, "", {}, {}) for name in unknown}
    try:
        plan(whole, {**task_types, **guessed}, stages_max=limits.STAGES_MAX)
    except InvalidRequest as refusal:
        return shape.faults + [fault for fault in refusal.faults if shape.sees(fault)], unknown
    return shape.faults, unknown


def shape_of(spec: Mapping[str, Any]) -> Shape:
    """Take a decoded file apart into what fits a pipeline and what does not."""
    shape, stages = Shape(), spec.get("stages")
    if isinstance(stages, list):
        stages = [_stage(shape, stage, position) for position, stage in enumerate(stages)]
    given = {**spec, "stages": stages} if "stages" in spec else spec
    rest = {"name": "a", **_fitting(shape, given, PipelineSpec, _WHOLE)}
    shape.rest = rest if "stages" in rest else None
    return shape


def converted(spec: Mapping[str, Any]) -> PipelineSpec:
    """A decoded pipeline. Raises InvalidRequest with every misfit of its shape."""
    try:
        return msgspec.convert(spec, PipelineSpec)
    except msgspec.ValidationError as error:
        raise refusal_of(tuple(shape_of(spec).faults)[:FAULTS_MAX] or (fault_of(str(error)),)) from None


def is_within(at: str, place: str) -> bool:
    """Whether a pointer leads to a place or into it."""
    return at == place or at.startswith(f"{place}/")


def _stage(shape: Shape, stage: Any, position: int) -> dict[str, Any]:
    before, stand_in = ("stages", position), {"name": f"unnamed-{position}", "task": "noop"}
    if not isinstance(stage, dict):
        _try(shape, stage, StageSpec, *before)
        shape.aside.append(pointer(*before))
        return stand_in
    fitting = _fitting(shape, stage, StageSpec, _STAND_IN, *before)
    if "task" not in fitting:
        shape.aside.append(pointer(*before, "params"))
        fitting.pop("params", None)
    return stand_in | fitting


def _fitting(
    shape: Shape, given: Mapping[str, Any], model: Any, smallest: Mapping[str, Any], *before: str | int
) -> dict[str, Any]:
    """The fields that fit the model, each tried beside the required ones of the ``smallest``."""
    fitting = {}
    for field, value in given.items():
        if _try(shape, {**smallest, field: value}, model, *before):
            fitting[field] = value
        else:
            shape.aside.append(pointer(*before, field))
    for name in (name for name in smallest if name not in given):
        shape.faults.append(fault_of(f"Object missing required field `{name}`", *before))
        shape.aside.append(pointer(*before, name))
    return fitting


def _try(shape: Shape, value: Any, model: Any, *before: str | int) -> bool:
    try:
        msgspec.convert(value, model)
    except msgspec.ValidationError as error:
        shape.faults.append(fault_of(str(error), *before))
        return False
    return True
