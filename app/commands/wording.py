"""How durations, progress, metrics and reasons are written for people."""

from datetime import UTC, datetime
from typing import Any

from app.commands.terminal import one_line
from schemas.event import Event

_METRICS_SHOWN = 3
_POSITIONS = frozenset({"step", "epoch"})
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_EXACT_BELOW = 10
_KIB = 1_024


def reason(event: Event) -> str:
    """Return why something ended badly, as far as its event tells."""
    error = event.data.get("error")
    return message_of(error) if isinstance(error, dict) else ""


def message_of(error: dict[str, Any] | None) -> str:
    """Return what an error says, on one line."""
    return one_line(str(error.get("message", ""))) if error else ""


def brief(seconds: float | None) -> str:
    """Write a duration where there is little room: one number and one unit."""
    if seconds is None:
        return ""
    for unit, size in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.1f} s" if seconds < _EXACT_BELOW else f"{int(seconds)} s"


def age(moment: datetime | None) -> str:
    """Write how long ago something was."""
    return "" if moment is None else brief(max(0.0, (datetime.now(UTC) - moment).total_seconds()))


def took(started_at: datetime | None, finished_at: datetime | None) -> str:
    """Write how long something took, or takes until now."""
    if started_at is None:
        return ""
    return brief(max(0.0, ((finished_at or datetime.now(UTC)) - started_at).total_seconds()))


def size(count: int) -> str:
    """Write a number of bytes where there is little room."""
    number, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while number >= _KIB and len(units) > 1:
        number, units = number / _KIB, units[1:]
    return f"{number:.{int(number < _EXACT_BELOW and units[0] != 'B')}f} {units[0]}"


def duration(seconds: float | None) -> str:
    """Write a duration for people."""
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), _MINUTE)
    return f"{minutes} min {rest:02} s" if seconds < _HOUR else f"{minutes // _MINUTE} h {minutes % _MINUTE:02} min"


def fraction(data: dict[str, Any]) -> float | None:
    """Return the share of the work that a progress report tells of."""
    value = data.get("progress")
    return min(1.0, max(0.0, float(value))) if isinstance(value, int | float) else None


def metrics_text(data: dict[str, Any]) -> str:
    """Write the first few numbers of a metrics report."""
    metrics = data.get("metrics")
    numbers = metrics.items() if isinstance(metrics, dict) else ()
    shown = [
        f"{name}={value:.4g}" for name, value in numbers if name not in _POSITIONS and isinstance(value, int | float)
    ]
    return " ".join(shown[:_METRICS_SHOWN])
