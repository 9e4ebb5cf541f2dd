"""Params of a template from the command line."""

from collections.abc import Sequence
from typing import Any

from app.commands.calls import assignments
from app.commands.spec_file import yaml_value
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
