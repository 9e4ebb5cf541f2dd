"""Params in a template: ``{"from": "params.epochs"}`` in place of a whole value stands for the param.

A dot goes one step deeper, into an object by key, into a list by index, as in a reference to a stage's result. There is
no templating inside strings, and what a param holds is not looked through again.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, field

from app.core import shapes
from app.core.pointer import pointer
from app.core.references import is_index
from app.errors import InvalidRequest
from schemas.limits import BODY_BYTES_MAX
from schemas.problem import Fault

PREFIX = "params."


class Filled(Struct):
    """A value with its params in place; ``origins`` says which param each place came from, both as JSON Pointers."""

    value: Any
    origins: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    room: int = BODY_BYTES_MAX

    def take(self, origin: str, found: Any) -> None:
        """A param takes a place: small params in many places must not make what no body could say."""
        if origin not in self.sizes:
            self.sizes[origin] = 0 if found is UNSET else len(msgspec.json.encode(found))
        self.room -= self.sizes[origin]
        if self.room < 0:
            detail = f"the params would take more than {BODY_BYTES_MAX:,} bytes in all of their places"
            raise InvalidRequest(detail, faults=(Fault("params_too_large", detail, "/params"),))


def fill(value: Any, params: Mapping[str, Any]) -> Filled:
    """Put the params in their places; a key whose param was not given is left out.

    Raises InvalidRequest when they take more room there together than any body may.
    """
    filled = Filled(None)
    filled.value = _filled(value, params, "", filled)
    return filled


def asked_for(value: Any, at: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every place that a param is to take, as a JSON Pointer, with the path into the params."""
    if path := _path(value):
        yield at, path
    elif isinstance(value, dict | list):
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from asked_for(item, at + pointer(step))


def with_defaults(params: Mapping[str, Any], schema: shapes.Schema) -> dict[str, Any]:
    """The params, and what the schema's properties have as defaults for those that are not there, at any depth."""
    found = dict(params)
    properties = {} if isinstance(schema, bool) else schema.get("properties", {})
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        if not isinstance(inner, dict):
            continue
        if name not in found and "default" in inner:
            found[name] = inner["default"]
        if isinstance(found.get(name), dict) and "properties" in inner:
            found[name] = with_defaults(found[name], inner)
    return found


def _filled(value: Any, params: Mapping[str, Any], at: str, filled: Filled) -> Any:
    if path := _path(value):
        found, origin = _looked_up(params, path), pointer("params", *path)
        filled.origins[at] = origin
        filled.take(origin, found)
        return found
    if isinstance(value, dict):
        items = ((key, _filled(item, params, at + pointer(key), filled)) for key, item in value.items())
        return {key: item for key, item in items if item is not UNSET}
    if isinstance(value, list):
        found = (_filled(item, params, at + pointer(index), filled) for index, item in enumerate(value))
        return [item for item in found if item is not UNSET]
    return value


def _path(value: Any) -> tuple[str, ...]:
    if isinstance(value, dict) and len(value) == 1:
        text = value.get("from")
        if isinstance(text, str) and text.startswith(PREFIX):
            return tuple(text.removeprefix(PREFIX).split("."))
    return ()


def _looked_up(params: Any, path: tuple[str, ...]) -> Any:
    here = params
    for step in path:
        if isinstance(here, Mapping) and step in here:
            here = here[step]
        elif isinstance(here, list) and is_index(step) and int(step) < len(here):
            here = here[int(step)]
        else:
            return UNSET
    return here
