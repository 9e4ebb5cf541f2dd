"""Pipeline files: YAML or JSON that people write, read into what can be sent; every refusal names the file."""

import sys
from collections.abc import Hashable, Iterable
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec
import yaml

from app.errors import InvalidRequest
from schemas.limits import BODY_BYTES_MAX, JSON_DEPTH_MAX

NODES_MAX = BODY_BYTES_MAX
"""Aliases can make a short text mean a huge value; each value in a body that is not too large has a byte of it."""


_UNREADABLE = (ValueError, OverflowError, LookupError, AttributeError, TypeError)
_KEYS = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:int"})


class _Loader(yaml.SafeLoader):
    """PyYAML's safe one, which tells of every value that it cannot read by line, and takes no ``on`` for a key."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - as inherited
        try:
            return super().construct_object(node, deep)
        except _UNREADABLE as error:
            kind = node.tag.rpartition(":")[2]
            raise _error(f"not a value of the type {kind}: {error}", node) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        found = super().construct_mapping(node, deep)
        for key, _ in node.value:
            if key.tag not in _KEYS:
                raise _error(f"YAML takes the key {key.value} for something else than a text; put it in quotes", key)
        return found


def _error(said: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=said, problem_mark=node.start_mark)


def read_spec(file: str) -> dict[str, Any]:
    """Read a pipeline file; "-" is stdin.

    Raises:
        InvalidRequest: it cannot be read, or holds no object that can be sent; says where.

    """
    name = "stdin" if file == "-" else file
    try:
        text = _bytes(file)
        # YAML is nearly a superset of JSON, but only nearly.
        spec = msgspec.json.decode(text) if text.lstrip()[:1] == b"{" else _yaml(text, name)
    except OSError as error:
        raise InvalidRequest(f"Cannot read {name}: {error.strerror}.") from None
    except RecursionError:
        raise InvalidRequest(f"{name} is nested deeper than {JSON_DEPTH_MAX} levels.") from None
    except (ValueError, msgspec.DecodeError, yaml.YAMLError) as error:
        raise InvalidRequest(f"{name} is neither YAML nor JSON: {error}") from None
    if not isinstance(spec, dict):
        raise InvalidRequest(f"{name} must hold one object with a name and stages.")
    _require_sendable(spec, name)
    return spec


def _bytes(file: str) -> bytes:
    if file == "-":
        text = sys.stdin.buffer.read(BODY_BYTES_MAX + 1)
    else:
        with Path(file).open("rb") as opened:
            text = opened.read(BODY_BYTES_MAX + 1)
    if len(text) > BODY_BYTES_MAX:
        raise ValueError(f"it has more than {BODY_BYTES_MAX:,} bytes, which no body may have")
    return text


def _yaml(text: bytes, name: str) -> Any:
    loader = _Loader(text)
    loader.name = name
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _require_sendable(spec: dict[str, Any], name: str) -> None:
    """Refuse what YAML can say and JSON cannot; an alias can even make a value its own part."""
    level: list[Any] = [spec]
    nodes = 0
    for _ in range(JSON_DEPTH_MAX + 1):
        nodes += len(level)
        if nodes > NODES_MAX:
            raise InvalidRequest(f"{name} holds more than {NODES_MAX:,} values.")
        level = list(islice(chain.from_iterable(map(_parts, level)), NODES_MAX + 1))
    if level:
        raise InvalidRequest(f"{name} is nested deeper than {JSON_DEPTH_MAX} levels.")
    try:
        msgspec.json.encode(spec)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(f"{name} holds a value that JSON cannot hold: {error}.") from None


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
