"""Pipeline files: read one, and set params in it from the command line."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from app.commands.calls import assignments
from app.core.wording import did_you_mean, quoted
from app.errors import InvalidRequest
from schemas.limits import BODY_BYTES_MAX


def read_text(file: str) -> bytes:
    """The bytes of a file, or of stdin for "-".

    Raises:
        InvalidRequest: it cannot be read.

    """
    try:
        return sys.stdin.buffer.read(BODY_BYTES_MAX + 1) if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"Cannot read {file}: {error.strerror}.") from None


def parse(text: bytes, file: str) -> dict[str, Any]:
    """Read a pipeline from YAML or JSON.

    Raises:
        InvalidRequest: it is neither, or holds no object; says where.

    """
    name = "stdin" if file == "-" else file
    try:
        # YAML is nearly a superset of JSON, but only nearly.
        spec = msgspec.json.decode(text) if text.lstrip()[:1] == b"{" else yaml.safe_load(text)
        # What only YAML can spell, a date for example, becomes what JSON makes of it.
        spec = msgspec.json.decode(msgspec.json.encode(spec))
    except (msgspec.MsgspecError, yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise InvalidRequest(f"{name} is neither YAML nor JSON: {error}") from None
    if not isinstance(spec, dict):
        raise InvalidRequest(f"{name} must hold one object with a name and stages.")
    return spec


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
        InvalidRequest: it is no YAML.

    """
    try:
        return yaml.safe_load(text) if text else ""
    except yaml.YAMLError as error:
        raise InvalidRequest(f"The value of {name} is not YAML; put it in quotes if it is text: {error}") from None
