"""From what a task's function returns to the JSON object that is stored."""

from typing import Any

import msgspec
from msgspec import Struct


class ResultInvalid(Exception):
    """It is not what the task declares; another attempt would end the same way."""


def as_json(result: object, declared: type[Struct]) -> dict[str, Any]:
    """Return a result in the types of JSON.

    Raises:
        ResultInvalid: it is not what the task declares, or cannot be written as JSON.

    """
    try:
        values = msgspec.to_builtins(result, str_keys=True)
        msgspec.convert(values, declared, str_keys=True)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise ResultInvalid(
            f"The function's result is not the {declared.__name__} that it declares: {error}."
        ) from None
    found: dict[str, Any] = values
    return found
