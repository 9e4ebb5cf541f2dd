"""How much a JSON Schema is once each of its ``$ref`` is replaced by what it refers to: so much a check may cost.

A schema of sixty definitions, each of which refers to the next one twice, is short to read, and its check never ends.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from app.core.pointer import pointer
from schemas.limits import SCHEMA_DEPTH_MAX, SCHEMA_EXPANDED_MAX
from schemas.problem import Fault

REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
ANCHORS = frozenset({"$anchor", "$dynamicAnchor"})
BASES = frozenset({"$id", "$schema"})
"""These change where references lead."""
UNEVALUATED = frozenset({"unevaluatedProperties", "unevaluatedItems"})
UNEVALUATED_COSTS = 4
"""What stands beside these is looked at again, to know what it has looked at: 3.4 times as long, measured."""


class Size(NamedTuple):
    """How many subschemas there are, and how many levels deep."""

    subschemas: int = 0
    depth: int = 0


class Refused(Exception):
    """A schema that was not measured to its end, because it was too much by then."""

    def __init__(self, detail: str, at: str) -> None:
        super().__init__(detail)
        self.fault = Fault("schema_invalid", detail, at)


def expansion_faults(schema: Mapping[str, Any], at: str) -> Iterator[Fault]:
    """Why checking by this schema might never end; ``at`` points to it.

    A reference must lead into the schema itself, and not around in a circle. What is referred to is measured once.
    """
    try:
        _Measure(schema, at).of(schema, at)
    except Refused as refusal:
        yield refusal.fault


class _Measure:
    """One measurement of one schema. Objects are known by their ``id``: a pointer may be spelled in several ways."""

    def __init__(self, schema: Mapping[str, Any], at: str) -> None:
        self.schema = schema
        self.root = at
        self.anchors = dict(_anchors(schema, at))
        self.known: dict[int, Size] = {}
        self.under_way = {id(schema)}

    def of(self, here: Any, at: str, level: int = 0) -> Size:
        """The size of what is here. Whatever may be a subschema counts as one."""
        if not isinstance(here, dict | list):
            return Size()
        if level >= SCHEMA_DEPTH_MAX:
            raise _too_deep(at)
        subschemas = depth = 0
        for key, value in here.items() if isinstance(here, dict) else enumerate(here):
            size = self._inside(key, value, at + pointer(key), level + 1)
            subschemas, depth = subschemas + size.subschemas, max(depth, size.depth)
        if isinstance(here, dict):
            subschemas = 1 + subschemas * (1 if UNEVALUATED.isdisjoint(here) else UNEVALUATED_COSTS)
        if subschemas > SCHEMA_EXPANDED_MAX:
            detail = f"with its references followed, there are more than {SCHEMA_EXPANDED_MAX:,} schemas in this"
            raise Refused(detail, at)
        return Size(subschemas, 1 + depth)

    def _inside(self, key: str | int, value: Any, at: str, level: int) -> Size:
        if not isinstance(value, str):
            return self.of(value, at, level)
        if key in BASES and at != self.root + pointer(key):
            raise Refused(f"a schema inside of another has no {key} of its own here", at)
        return self._behind(value, at, level) if key in REFERENCES else Size()

    def _behind(self, reference: str, at: str, level: int) -> Size:
        target, place = self._followed(reference, at)
        if id(target) in self.under_way:
            raise Refused("this leads back to where it stands", at)
        if (size := self.known.get(id(target))) is None:
            self.under_way.add(id(target))
            size = self.of(target, place, level)
            self.under_way.remove(id(target))
            self.known[id(target)] = size
        if level + size.depth > SCHEMA_DEPTH_MAX:
            raise _too_deep(at)
        return size

    def _followed(self, reference: str, at: str) -> tuple[Any, str]:
        """What a reference leads to, and where that is."""
        fragment = unquote(reference.removeprefix("#"))
        place = self.anchors.get(fragment, self.root + fragment)
        if not reference.startswith("#") or not f"{place}/".startswith(f"{self.root}/"):
            raise Refused("a reference leads into this very schema: '#/$defs/…'", at)
        found: Any = self.schema
        for step in place.removeprefix(self.root).split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, IndexError, TypeError, ValueError):
                raise Refused("this leads to nothing", at) from None
        return found, place


def _too_deep(at: str) -> Refused:
    return Refused(f"with its references followed, the schema is more than {SCHEMA_DEPTH_MAX} levels deep", at)


def _anchors(here: Any, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(here, dict):
        yield from ((here[key], at) for key in ANCHORS & here.keys() if isinstance(here[key], str))
    if isinstance(here, dict | list):
        for key, item in here.items() if isinstance(here, dict) else enumerate(here):
            yield from _anchors(item, at + pointer(key))
