"""References: a param that is the result of another stage.

``{"from": "stages.prepare.result.dataset"}`` in place of a whole top-level param stands for what the stage ``prepare``
has under ``dataset`` in its result. A dot goes one step deeper: into an object by key, into a list by index. There is
no templating inside strings.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from app.core.wording import quoted

INDEX_DIGITS_MAX = 9


class Reference(Struct, frozen=True):
    """A well-formed reference: ``path`` leads into the result of ``stage`` and has at least one step."""

    stage: str
    path: tuple[str, ...]


class UnresolvedReference(Exception):
    """The other stage's result has nothing at that path; trying again will not help."""

    def __init__(self, param: str, reference: str) -> None:
        super().__init__(f"param {quoted(param)} refers to {quoted(reference)}, and there is no such value")
        self.param = param
        self.reference = reference


def written_in(params: Mapping[str, Any]) -> dict[str, str]:
    """``{param: text of its reference}`` for every param that means to be one, well-formed or not."""
    return {
        param: value["from"]
        for param, value in params.items()
        if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("from"), str)
    }


def parse(text: str) -> Reference | None:
    """Read ``stages.<name>.result.<path>``; None when it is not of that form."""
    match text.split("."):
        case ["stages", stage, "result", first, *rest] if stage and first and all(rest):
            return Reference(stage, (first, *rest))
    return None


def resolve(
    params: Mapping[str, Any],
    references: Mapping[str, str],
    results: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    """The params with every reference replaced by its value from ``results``, which has stage results by stage name.

    Raises UnresolvedReference for the first one that leads nowhere.
    """
    return {**params, **{param: _value(param, text, results) for param, text in references.items()}}


def is_index(step: str) -> bool:
    """Whether a step of a path can be a position in a list."""
    return step.isascii() and step.isdecimal() and len(step) <= INDEX_DIGITS_MAX


def _value(param: str, text: str, results: Mapping[str, dict[str, Any]]) -> Any:
    reference = parse(text)
    if reference is None:
        raise UnresolvedReference(param, text)
    try:
        value: Any = results[reference.stage]
        for step in reference.path:
            value = _step(value, step)
    except LookupError:
        raise UnresolvedReference(param, text) from None
    return value


def _step(value: Any, step: str) -> Any:
    match value:
        case dict():
            return value[step]
        case list() if is_index(step):
            return value[int(step)]
    raise LookupError(step)
