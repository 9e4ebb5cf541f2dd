"""From a template and params to a checked pipeline; and is a template any good?"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from app.core import shapes
from app.core.characters import object_faults, text_faults
from app.core.expansion import expansion_faults
from app.core.lint import converted, is_within, lint
from app.core.params import schema_faults, schema_problem, storable_faults
from app.core.plan import FAULTS_MAX, Plan, plan, refusal_of
from app.core.pointer import pointer
from app.core.substitution import Filled, asked_for, fill, with_defaults
from app.core.wording import did_you_mean, quoted
from app.errors import InvalidRequest
from schemas.problem import Fault
from schemas.queue import Queue, Slot
from schemas.task import TaskType
from schemas.template import Submission, Template, TemplateSpec

LABEL = "headway.template"
VERSION_LABEL = "headway.template-version"


def plan_template(
    template: Template, submission: Submission, task_types: Mapping[str, TaskType], *, stages_max: int
) -> Plan:
    """Fill in a template and check what comes of it.

    Raises InvalidRequest with all faults. They point into the submission where a value came from there; where the
    template itself is at fault, they name the place in words.
    """
    _refuse_if_any(_params_faults(template, submission.params))
    filled = _filled(template, submission)
    spec, uuid = dict(filled.value), filled.value.get("uuid")
    spec.pop("uuid", None)
    try:
        planned = plan(converted(spec), task_types, stages_max=stages_max)
    except InvalidRequest as refusal:
        faults = tuple(_into_submission(fault, filled.origins, template) for fault in refusal.faults)
        raise refusal_of(faults) from None
    return replace(planned, uuid=None if uuid is None else _uuid(uuid, filled.origins))


def template_faults(spec: TemplateSpec, task_types: Mapping[str, TaskType]) -> list[Fault]:
    """What is wrong with a template, as far as can be known without its params."""
    faults = [*text_faults(spec.description, "/description"), *object_faults(spec.params_schema, "/params_schema")]
    faults += object_faults(spec.pipeline, "/pipeline")
    faults += expansion_faults(spec.params_schema, "/params_schema")
    if faults:
        return faults[:FAULTS_MAX]
    if problem := schema_problem(spec.params_schema):
        return [Fault("schema_invalid", f"this is no JSON Schema: {problem}", "/params_schema")]
    if spec.params_schema.get("type", "object") != "object":
        return [Fault("schema_invalid", "params are an object", "/params_schema/type")]
    if any(at == "" for at, _ in asked_for(spec.pipeline)):
        return [Fault("invalid_value", "a pipeline has a name and stages; params go in their places", "/pipeline")]
    faults += _unknown_params(spec)
    faults += _pipeline_faults(spec, task_types)
    return faults[:FAULTS_MAX]


def _pipeline_faults(spec: TemplateSpec, task_types: Mapping[str, TaskType]) -> Iterator[Fault]:
    """The faults of the pipeline that do not depend on what params are given."""
    open_places = [at for at, _ in asked_for(spec.pipeline)]
    pipeline = {key: value for key, value in spec.pipeline.items() if key != "uuid"}
    found, unknown = lint(pipeline, task_types)
    for fault in found:
        if not any(is_within(fault.pointer or "", place) for place in open_places):
            yield replace(fault, pointer=f"/pipeline{fault.pointer or ''}")
    stages = pipeline.get("stages")
    for position, stage in enumerate(stages if isinstance(stages, list) else ()):
        name = stage.get("task") if isinstance(stage, dict) else None
        if name in unknown:
            guess = did_you_mean(name, task_types.keys())
            yield Fault(
                "unknown_task",
                f"no worker runs a task named {quoted(name)}{guess}",
                f"/pipeline{pointer('stages', position, 'task')}",
            )


def _unknown_params(spec: TemplateSpec) -> Iterator[Fault]:
    known = shapes.properties(spec.params_schema)
    for at, path in asked_for(spec.pipeline):
        if path[0] not in known or shapes.at(spec.params_schema, path) is False:
            detail = f"params_schema has no param {quoted('.'.join(path))}{did_you_mean(path[0], known)}"
            yield Fault("param_unknown", detail, f"/pipeline{at}")


def _params_faults(template: Template, params: dict[str, Any]) -> Iterator[Fault]:
    unstorable = list(storable_faults(params, ""))
    yield from unstorable
    if not unstorable:
        judge = TaskType(f"template {template.name}", Queue.DEFAULT, Slot.INLINE, "", template.params_schema, {})
        yield from schema_faults(params, judge, "", frozenset())


def _filled(template: Template, submission: Submission) -> Filled:
    filled = fill(template.pipeline, with_defaults(submission.params, template.params_schema))
    spec = filled.value
    for name, value in (("name", submission.name), ("priority", submission.priority)):
        if value is not None:
            spec[name] = value
            filled.origins[pointer(name)] = pointer(name)
    mine = {LABEL: template.name, VERSION_LABEL: str(template.version)}
    if isinstance(spec.get("labels", {}), dict):
        spec["labels"] = {**spec.get("labels", {}), **submission.labels, **mine}
        filled.origins |= {pointer("labels", key): pointer("labels", key) for key in submission.labels}
    spec["start"] = submission.start
    return filled


def _into_submission(fault: Fault, origins: Mapping[str, str], template: Template) -> Fault:
    at = fault.pointer or ""
    for place, origin in origins.items():
        if is_within(at, place):
            return replace(fault, pointer=origin + at.removeprefix(place))
    where = f"template {template.name}, version {template.version}, at {at or '/'}"
    return replace(fault, detail=f"{where}: {fault.detail}", pointer="")


def _uuid(value: Any, origins: Mapping[str, str]) -> UUID:
    try:
        return msgspec.convert(value, UUID)
    except msgspec.ValidationError:
        fault = Fault("param_invalid", "the uuid of a pipeline is a UUID", origins.get("/uuid", ""))
        raise refusal_of((fault,)) from None


def _refuse_if_any(faults: Iterator[Fault]) -> None:
    if found := tuple(islice(faults, FAULTS_MAX)):
        raise refusal_of(found)
