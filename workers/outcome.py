"""How an attempt ended, before anybody has decided what follows."""

from dataclasses import dataclass
from typing import Any, Self

from schemas.states import Outcome


@dataclass(frozen=True)
class Ending:
    """An outcome with its result or its error; ``retryable`` is False where another attempt must end the same way.

    For its diagnosis, ``log`` is the end of what it printed, and ``oom_kills`` how often the kernel has killed for want
    of memory meanwhile.
    """

    outcome: Outcome
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    retryable: bool = True
    log: str = ""
    oom_kills: int = 0

    @classmethod
    def completed(cls, result: dict[str, Any]) -> Self:
        """It ended with a result."""
        return cls(Outcome.COMPLETED, result=result)

    @classmethod
    def failed(cls, code: str, message: str, *, retryable: bool = True, **more: Any) -> Self:
        """It ended with an error of its own."""
        return cls(Outcome.FAILED, error={"code": code, "message": message, **more}, retryable=retryable)
