"""What is known of an attempt that ended badly."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from schemas.diagnosis import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """``code`` is Headway's own word for the end; ``message`` and ``traceback`` are what the program said of it.

    ``losses`` counts workers that were lost in a row, where that is why it is not tried again.

    The program's word is what it reported, or left in the file that ``TORCHELASTIC_ERROR_FILE`` names. ``log`` is the
    end of what it printed.
    """

    code: str
    message: str = ""
    traceback: str = ""
    exit_code: int | None = None
    signal: int | None = None
    losses: int | None = None
    log: str = ""
    facts: Facts = field(default_factory=Facts)

    @classmethod
    def of(cls, error: Mapping[str, Any], log: str = "", facts: Facts | None = None) -> Self:
        """Take what an attempt's error says, and the end of its log; of a log that is gone the error kept a little."""
        return cls(
            code=str(error.get("code", "")),
            message=str(error.get("message", "")),
            traceback=str(error.get("traceback", "")),
            exit_code=_whole(error.get("exit_code")),
            signal=_whole(error.get("signal")),
            losses=_whole(error.get("losses")),
            log=log or str(error.get("log_tail", "")),
            facts=facts or Facts(),
        )


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None
