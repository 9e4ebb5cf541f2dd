"""Params from the command line, and what a template or a task type says of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.commands.calls import assignments
from app.commands.spec_file import yaml_value
from app.commands.terminal import print_table
from app.core.wording import quoted
from app.errors import InvalidRequest


def params_of(texts: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` options, each value as YAML has it; ``config.epochs=3`` sets one entry of an object.

    Raises:
        InvalidRequest: one is not written so, or leads into something that is no object.

    """
    params: dict[str, Any] = {}
    for place, text in assignments(texts).items():
        here, (*path, last) = params, place.split(".")
        for step in path:
            here = here.setdefault(step, {})
            if not isinstance(here, dict):
                raise InvalidRequest(f"-p {place} leads into {quoted(step)}, which is no object.")
        here[last] = yaml_value(place, text)
    return params


def print_params(schema: Mapping[str, Any]) -> None:
    """Draw the params that a JSON Schema tells of."""
    required = schema.get("required", [])
    rows = [
        (name, _type(param), "needed" if name in required else _default(param), param.get("description", ""))
        for name, param in schema.get("properties", {}).items()
        if isinstance(param, dict)
    ]
    print_table("param, type, default, description", rows, flexible="default, description")


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "|".join(map(str, schema["enum"]))
    ways = [_type(way) for way in schema.get("anyOf", ()) if isinstance(way, dict)]
    return " or ".join(ways) if ways else str(schema.get("type", ""))


def _default(schema: Mapping[str, Any]) -> str:
    found = schema.get("default", "")
    if isinstance(found, dict) and "from" in found:
        return str(found["from"])
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()
