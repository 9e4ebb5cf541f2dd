"""Cursors of lists: the key of the last row that was shown, in a form that nobody is tempted to write by hand."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from app.errors import InvalidRequest
from schemas.problem import Fault
from schemas.template import TemplateName

T = TypeVar("T")


class NameKey(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The key of a list that is in the order of names."""

    name: TemplateName


def write_cursor(key: Any) -> str:
    """Turn a key into a cursor."""
    return urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def read_cursor(cursor: str, kind: type[T]) -> T:
    """Turn a cursor back into a key of this kind.

    Raises:
        InvalidRequest: it is none of ours.

    """
    try:
        return msgspec.json.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=kind)
    except (ValueError, msgspec.DecodeError):
        detail = "The cursor is not one that this API gave out; start again without it."
        raise InvalidRequest(detail, faults=(Fault("cursor_invalid", detail),)) from None
