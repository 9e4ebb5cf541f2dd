"""What a worker registers about its tasks."""

from typing import Any

import msgspec
from msgspec import Struct

from schemas.task import TaskType
from workers.tasks.declaration import Task


def task_type(task: Task) -> TaskType:
    """Return what a worker registers about a task.

    Raises:
        TypeError: its params or result are of a type that JSON Schema cannot describe.

    """
    return TaskType(
        name=task.name,
        queue=task.queue,
        slot=task.slot,
        version=task.version,
        params_schema=_json_schema(task.params),
        result_schema=_json_schema(task.result),
    )


def _json_schema(struct: type[Struct]) -> dict[str, Any]:
    """Return a JSON Schema whose root is the object itself, for readers that follow no references.

    A Struct that holds others of its own kind stays among the definitions too: they refer to it there.
    """
    (reference,), definitions = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    root = definitions[reference["$ref"].rpartition("/")[2]]
    others = {name: schema for name, schema in definitions.items() if schema is not root}
    if reference["$ref"] in _references(definitions):
        others = definitions
    return {**root, "$defs": others} if others else root


def _references(schema: Any) -> set[str]:
    """Every ``$ref`` in a schema."""
    match schema:
        case dict():
            own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
            return own.union(*map(_references, schema.values()))
        case list():
            return set().union(*map(_references, schema))
    return set()
