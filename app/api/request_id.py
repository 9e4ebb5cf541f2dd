"""The id that ties together an answer, its problem document and its log lines."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

HEADER = b"x-request-id"
_SANE = re.compile(rb"[\x21-\x7e]{1,64}")


def request_id(scope: Mapping[str, Any]) -> str:
    """The id of this request: the client's own if it is 1 to 64 visible ASCII characters, else a new one."""
    state: dict[str, Any] = scope["state"]
    if "request_id" not in state:
        sent = next((value for name, value in scope["headers"] if name == HEADER), b"")
        state["request_id"] = sent.decode() if _SANE.fullmatch(sent) else uuid4().hex
    found: str = state["request_id"]
    return found
