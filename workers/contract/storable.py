"""What Postgres can store as JSON, and Headway's own limits on it."""

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from schemas import limits


def clean(text: str, chars_max: int | None = None) -> str:
    """Replace what Postgres cannot store, NUL and lone surrogates, and cut the text to its length."""
    return text[:chars_max].encode(errors="replace").decode().replace("\0", "\ufffd")


def check_result(result: Any) -> str | None:
    """Say in a sentence why this cannot be the result of a stage; None if it can."""
    if not isinstance(result, dict):
        return "The result is not a JSON object."
    try:
        size = len(msgspec.json.encode(result))
    except (OverflowError, RecursionError, TypeError, ValueError) as error:
        return f"The result is not JSON that can be stored: {clean(str(error))}."
    if size > limits.RESULT_BYTES_MAX:
        return f"The result has {size:,} bytes; at most {limits.RESULT_BYTES_MAX:,} are stored."
    return next((f"The result {fault}." for fault in _faults(result, 1)), None)


def _faults(value: Any, depth: int) -> Iterator[str]:
    if depth > limits.JSON_DEPTH_MAX:
        yield f"is nested deeper than {limits.JSON_DEPTH_MAX} levels"
    elif isinstance(value, str) and "\0" in value:
        yield "holds a NUL character"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"holds the number {value}, which JSON does not know"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _faults(key, depth)
            yield from _faults(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _faults(item, depth + 1)
