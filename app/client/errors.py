"""What a call of the client may raise."""

from collections.abc import Mapping
from typing import Any

import msgspec

from app.errors import HeadwayError
from schemas.problem import Fault


class ApiError(HeadwayError):
    """The API refused; ``status`` and ``code`` are those of its problem document."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        faults = tuple(msgspec.convert(fault, Fault) for fault in problem.get("errors", ()))
        detail = problem.get("detail") or problem.get("title") or f"The server answered {status}."
        super().__init__(detail, faults=faults)
        self.status = status
        self.code = problem.get("code", "unknown")


class Unreachable(HeadwayError):
    """No API answers at the address; ``connected`` if a request may have got there all the same."""

    code = "unreachable"
    status = 503

    def __init__(self, detail: str, *, connected: bool = True) -> None:
        super().__init__(detail)
        self.connected = connected
