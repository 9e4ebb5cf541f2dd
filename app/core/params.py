"""Do the params of a stage fit what its task declared?"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
from jsonschema_rs import Draft202012Validator, ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

from app.core import shapes
from app.core.characters import object_faults
from app.core.pointer import pointer
from app.core.wording import did_you_mean, quoted, shortened
from schemas import limits
from schemas.problem import Fault
from schemas.task import TaskType

Params = dict[str, Any]

VALIDATORS_MAX = 1_024


def storable_faults(params: Params, stage_at: str) -> Iterator[Fault]:
    """What keeps the params out of Postgres, whatever their task says. ``stage_at`` points to the stage."""
    unstorable = list(object_faults(params, f"{stage_at}/params"))
    yield from unstorable
    if not unstorable and len(msgspec.json.encode(params)) > limits.PARAMS_BYTES_MAX:
        detail = f"params may take {limits.PARAMS_BYTES_MAX // 1024} KiB at most; pass a path to larger data"
        yield Fault("params_too_large", detail, f"{stage_at}/params")


def schema_faults(params: Params, task_type: TaskType, stage_at: str, unjudged: frozenset[str]) -> Iterator[Fault]:
    """Where storable params break their task's schema.

    Params in ``unjudged`` are references: they must be known to the task, but what they will hold is not known yet.
    """
    validator = _validator(msgspec.json.encode(task_type.params_schema))
    if validator.is_valid(params):
        return
    for error in validator.iter_errors(params):
        if not unjudged.intersection(error.instance_path[:1]):
            yield from _told(error, params, task_type, stage_at)


def schema_problem(schema: dict[str, Any]) -> str | None:
    """Say in a sentence why params cannot be checked by this schema; None if they can."""
    try:
        _validator(msgspec.json.encode(schema))
    except (ValidationError, ValueError) as error:
        return shortened(" ".join(str(error).split()))
    return None


@lru_cache(maxsize=VALIDATORS_MAX)
def _validator(schema: bytes) -> Draft202012Validator:
    """Compiled once per schema text; ``offline`` because a ``$ref`` must never make this process fetch anything."""
    return Draft202012Validator(msgspec.json.decode(schema), mask="this value", offline=True)


def _told(error: ValidationError, params: Params, task_type: TaskType, stage_at: str) -> Iterator[Fault]:
    place = stage_at + pointer("params", *error.instance_path)
    match error.kind:
        case Kind.AdditionalProperties(unexpected):
            for key in unexpected:
                yield Fault("param_unknown", _unknown(key, error, task_type), place + pointer(key))
        case Kind.Required(missing):
            # A body without any params may have left the key out, and a pointer must lead to something that is there.
            detail = f"{task_type.name} needs the param {quoted(missing)}"
            yield Fault("param_missing", detail, place if params else stage_at)
        case _:
            yield Fault("param_invalid", shortened(_sentence(error, task_type)), place)


def _unknown(key: str, error: ValidationError, task_type: TaskType) -> str:
    if error.instance_path:
        return f"there is no field {quoted(key)} here"
    known = shapes.properties(task_type.params_schema)
    return f"{task_type.name} has no param {quoted(key)}{did_you_mean(key, known)}"


def _sentence(error: ValidationError, task_type: TaskType) -> str:
    match error.kind:
        case Kind.Pattern():
            here = shapes.at(task_type.params_schema, map(str, error.instance_path))
            meant = "" if isinstance(here, bool) else here.get("description", "")
            return f"{error.message}: {meant}" if meant else error.message
        case Kind.AnyOf(branches):
            return ", and ".join(branch[0].message for branch in branches if branch)
    return error.message
