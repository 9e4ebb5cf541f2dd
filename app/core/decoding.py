"""From msgspec's sentence about JSON that does not fit a Struct to a fault with a JSON Pointer."""

import re

from app.core.pointer import pointer
from app.core.wording import QUOTED_MAX, shortened
from schemas import limits
from schemas.problem import Fault

_PLACE = re.compile(r" - at `(?:key` in `)?\$(?P<path>[^`]*)`\Z")
_STEP = re.compile(r"\.(?P<field>\w+)|\[(?P<index>\d+)\]")
_FIELD = re.compile(r"Object (?:contains unknown|missing required) field `(?P<field>.*)`\Z", re.DOTALL)
_WORDS = {
    f"Expected `str` matching regex {limits.STAGE_NAME_PATTERN!r}": (
        f"A name here has 1 to {limits.STAGE_NAME_MAX} characters: lower-case letters, digits, - and _, and begins "
        "and ends with a letter or a digit"
    ),
}


def fault_of(message: str, *before: str | int) -> Fault:
    """Turn ``… - at `$.stages[0].params``` into a fault; ``before`` are the steps from the document's root to ``$``."""
    found = _PLACE.search(message)
    sentence = message[: found.start()] if found else message
    path = found["path"].partition("[...]")[0] if found else ""
    steps = [*before, *(step["field"] or int(step["index"]) for step in _STEP.finditer(path))]
    field = _FIELD.match(sentence)
    if field and len(field["field"]) <= QUOTED_MAX:
        steps.append(field["field"])
        code = "unknown_field" if "unknown" in sentence.split("`", 1)[0] else "required"
        return Fault(code, shortened(sentence), pointer(*steps))
    return Fault("invalid_value", _WORDS.get(sentence, shortened(sentence)), pointer(*steps))
