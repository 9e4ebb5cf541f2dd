"""Values that JSON can spell but that Postgres, a log line or another JSON reader cannot hold."""

import re
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Any

from msgspec import UNSET, UnsetType

from app.core.pointer import pointer
from schemas import limits
from schemas.bulk import PipelineFilter
from schemas.pipeline import PipelinePatch, PipelineSpec
from schemas.problem import Fault

INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**64 - 1

_NAME = re.compile(limits.STAGE_NAME_PATTERN)
_NOT_IN_LINES = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_TEXTS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # May have tabs and line ends.


def spec_faults(spec: PipelineSpec | PipelinePatch) -> Iterator[Fault]:
    """What cannot be stored in the pipeline's own words; stage names are held by their pattern already."""
    yield from _name_faults(spec.name, "/name")
    if spec.description is not UNSET:
        yield from text_faults(spec.description, "/description")
    yield from _label_faults(spec.labels, "/labels")


def filter_faults(wanted: PipelineFilter) -> Iterator[Fault]:
    """What no pipeline can be called, and Postgres cannot even look for."""
    yield from _name_faults(wanted.name, "/filter/name")
    yield from _label_faults(wanted.labels, "/filter/labels")


def _name_faults(name: str | UnsetType, at: str) -> Iterator[Fault]:
    if name is not UNSET and (bad := _NOT_IN_LINES.search(name)):
        yield _bad_character(bad, at)


def _label_faults(labels: dict[str, str] | UnsetType, at: str) -> Iterator[Fault]:
    for key, value in () if labels is UNSET else labels.items():
        if bad := _NOT_IN_LINES.search(key):
            yield _bad_character(bad, at)
        elif bad := _NOT_IN_LINES.search(value):
            yield _bad_character(bad, at + pointer(key))


def is_name(text: str) -> bool:
    """Whether a template or a schedule may be called so; whatever may not, there is none of."""
    return bool(_NAME.search(text)) and len(text) <= limits.STAGE_NAME_MAX


def text_faults(text: str, at: str) -> Iterator[Fault]:
    """What cannot be stored in a text of several lines that stands at the pointer ``at``."""
    if bad := _NOT_IN_TEXTS.search(text):
        yield _bad_character(bad, at)


def object_faults(value: dict[str, Any], at: str) -> Iterator[Fault]:
    """What cannot be stored at any depth of a decoded JSON object that stands at the pointer ``at``.

    It works through a list that grows, not by recursion, because the depth is the client's choice.
    """
    containers: list[tuple[dict[str, Any] | list[Any], str, int]] = [(value, at, 1)]
    for container, place, depth in containers:
        if depth > limits.JSON_DEPTH_MAX:
            yield Fault("params_too_large", f"nested deeper than {limits.JSON_DEPTH_MAX} levels", place)
            continue
        if isinstance(container, dict):
            yield from _key_faults(container, place)
        for step, item in _entries(container):
            if isinstance(item, dict | list):
                containers.append((item, place + pointer(step), depth + 1))
            elif fault := _scalar_fault(item, place, step):
                yield fault


def _key_faults(keys: Iterable[str], at: str) -> Iterator[Fault]:
    """A bad key is reported at its object: a pointer through the key could not be stored either."""
    for key in keys:
        if bad := _NOT_IN_LINES.search(key):
            yield _bad_character(bad, at)


def _entries(container: dict[str, Any] | list[Any]) -> Iterable[tuple[str | int, Any]]:
    """The entries of a list, or those of an object whose keys can stand in a pointer."""
    if isinstance(container, list):
        return enumerate(container)
    return ((key, item) for key, item in container.items() if not _NOT_IN_LINES.search(key))


def _scalar_fault(value: str | float | None, container_at: str, step: str | int) -> Fault | None:
    if isinstance(value, str):
        bad = _NOT_IN_TEXTS.search(value)
        return _bad_character(bad, container_at + pointer(step)) if bad else None
    if isinstance(value, float) and not isfinite(value):
        return Fault("param_invalid", "numbers must be finite", container_at + pointer(step))
    if isinstance(value, int) and not INTEGER_MIN <= value <= INTEGER_MAX:
        return Fault("param_invalid", "integers must fit into 64 bits", container_at + pointer(step))
    return None


def _bad_character(found: re.Match[str], at: str) -> Fault:
    return Fault("bad_character", f"the character U+{ord(found[0]):04X} is not allowed here", at)
