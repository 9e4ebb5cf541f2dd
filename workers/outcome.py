"""How an attempt ended, before anybody has decided what follows."""

from dataclasses import dataclass
from typing import Any, Self

from schemas.states import Outcome


@dataclass(frozen=True)
class Ending:
    """An outcome with its result or its error; ``retryable`` is False where another attempt must end the same way."""

    outcome: Outcome
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    retryable: bool = True

    @classmethod
    def completed(cls, result: dict[str, Any]) -> Self:
        """It ended with a result."""
        return cls(Outcome.COMPLETED, result=result)

    @classmethod
    def failed(cls, code: str, message: str, *, retryable: bool = True, **more: Any) -> Self:
        """It ended with an error of its own."""
        return cls(Outcome.FAILED, error={"code": code, "message": message, **more}, retryable=retryable)
