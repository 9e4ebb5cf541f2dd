"""What a JSON Schema, as msgspec writes it for a Struct, says about one value deep inside.

A schema may also be a boolean: ``False`` admits nothing, ``True`` and ``{}`` admit everything. Where a schema is too
clever for this room (unions, for example) the answer is ``{}``: the check is then left to the start of the stage.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from app.core.references import is_index

Schema = Mapping[str, Any] | bool

REFERENCES_FOLLOWED_MAX = 32


def at(schema: Schema, path: Iterable[str]) -> Schema:
    """What the schema says about the value that this path leads to; ``False`` when nothing can be there."""
    here = _followed(schema, schema)
    for step in path:
        here = _followed(schema, _inside(here, step))
    return here


def properties(schema: Schema) -> list[str]:
    """The keys that the schema's object names."""
    here = at(schema, ())
    return [] if isinstance(here, bool) else list(here.get("properties", ()))


def fits(offered: Schema, wanted: Schema) -> bool:
    """Whether a value of the one schema may go where the other is asked for, as far as their plain types tell."""
    have, want = plain_type(offered), plain_type(wanted)
    return have is None or want is None or have == want or (have, want) == ("integer", "number")


def plain_type(schema: Schema) -> str | None:
    """``integer``, ``object`` and so on, or None when the schema does not say it that simply."""
    if isinstance(schema, bool):
        return None
    found = schema.get("type")
    return found if isinstance(found, str) else None


def _inside(here: Schema, step: str) -> Schema:
    if isinstance(here, bool):
        return here
    match here.get("type"):
        case "object":
            rest: Schema = here.get("additionalProperties", {})
            inner: Schema = here.get("properties", {}).get(step, rest)
            return inner
        case "array":
            return _item(here, int(step)) if is_index(step) else False
        case str():
            return False
    return {}


def _item(array: Mapping[str, Any], index: int) -> Schema:
    first: list[Schema] = array.get("prefixItems", [])
    rest: Schema = array.get("items", {})
    return first[index] if index < len(first) else rest


def _followed(root: Schema, here: Schema) -> Schema:
    """The definition behind a ``$ref`` into the same schema."""
    for _ in range(REFERENCES_FOLLOWED_MAX):
        if isinstance(here, bool) or "$ref" not in here:
            return here
        here = _definition(root, here["$ref"])
    return {}


def _definition(root: Schema, ref: str) -> Schema:
    found: Any = root
    for step in ref.removeprefix("#/").split("/"):
        found = found.get(step, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping | bool) else {}
