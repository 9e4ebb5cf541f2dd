"""Pipeline files: YAML or JSON that people write, read into what can be sent; and params set from the command line."""

import sys
from collections.abc import Hashable, Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from cyclopts import Parameter, Token

from app.commands.calls import assignments
from app.core.wording import did_you_mean, quoted
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


def _file_name(_type: Any, tokens: Sequence[Token]) -> str:
    name = tokens[0].value
    if name.startswith("-") and name != "-":
        raise ValueError(f"There is no option {name}; a file of that name is written ./{name}.")
    return name


SpecFile = Annotated[str, Parameter(allow_leading_hyphen=True, converter=_file_name)]
"""The argument that names a pipeline file; "-" is stdin."""


def read_text(file: str) -> bytes:
    """The bytes of a file, or of stdin for "-".

    Raises:
        InvalidRequest: it cannot be read, or is larger than any body may be.

    """
    try:
        if file == "-":
            text = sys.stdin.buffer.read(BODY_BYTES_MAX + 1)
        else:
            with Path(file).open("rb") as opened:
                text = opened.read(BODY_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidRequest(f"Cannot read {file}: {error.strerror}.") from None
    if len(text) > BODY_BYTES_MAX:
        raise InvalidRequest(f"{file} has more than {BODY_BYTES_MAX:,} bytes, which no pipeline may have.")
    return text


def parse(text: bytes, file: str) -> dict[str, Any]:
    """Read a pipeline from YAML or JSON.

    Raises:
        InvalidRequest: it is neither, or holds no object that can be sent; says where.

    """
    name = "stdin" if file == "-" else file
    try:
        # YAML is nearly a superset of JSON, but only nearly.
        spec = msgspec.json.decode(text) if text.lstrip()[:1] == b"{" else _yaml(text, name)
    except RecursionError:
        raise InvalidRequest(f"{name} is nested deeper than {JSON_DEPTH_MAX} levels.") from None
    except (ValueError, msgspec.DecodeError, yaml.YAMLError) as error:
        raise InvalidRequest(f"{name} is neither YAML nor JSON: {error}") from None
    if not isinstance(spec, dict):
        raise InvalidRequest(f"{name} must hold one object, of keys and values.")
    return _sendable(spec, name)


def with_params(spec: dict[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    """The pipeline with params replaced or added: each text is ``stage.param=value``, the value written as in YAML.

    Raises:
        InvalidRequest: one is not written so, or there is no such stage.

    """
    found = spec.get("stages")
    stages = (
        {each["name"]: each for each in found if isinstance(each, dict) and isinstance(each.get("name"), str)}
        if isinstance(found, list)
        else {}
    )
    for place, text in assignments(texts).items():
        stage, dot, param = place.partition(".")
        if not (stage and dot and param):
            raise InvalidRequest(f"-p sets a param of a stage: write stage.param=value, not {quoted(place)}.")
        if stage not in stages:
            raise InvalidRequest(f"No stage is named {quoted(stage)}{did_you_mean(stage, stages)}.")
        params = stages[stage].setdefault("params", {})
        if not isinstance(params, dict):
            raise InvalidRequest(f"The params of stage {quoted(stage)} are no object.")
        params[param] = yaml_value(place, text)
    return spec


def yaml_value(name: str, text: str) -> Any:
    """Read a value as YAML has it: 3, true, [1, 2], {a: b}, text.

    Raises:
        InvalidRequest: it is no YAML, or nothing that JSON can hold.

    """
    try:
        value = _yaml(text.encode(), name) if text else ""
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise InvalidRequest(f"The value of {name} is not YAML; put it in quotes if it is text: {error}") from None
    return _sendable({"value": value}, name)["value"]


def _yaml(text: bytes, name: str) -> Any:
    loader = _Loader(text)
    loader.name = name
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _sendable(spec: dict[str, Any], name: str) -> dict[str, Any]:
    """Refuse what YAML can say and JSON cannot; an alias can even make a value its own part.

    What only YAML can spell, a date for example, becomes what JSON makes of it.
    """
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
        return msgspec.json.decode(msgspec.json.encode(spec), type=dict[str, Any])
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise InvalidRequest(f"{name} holds a value that JSON cannot hold: {error}.") from None


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
