"""How durations, progress, metrics and reasons are written for people."""

from typing import Any

from schemas.event import Event

_METRICS_SHOWN = 3
_POSITIONS = frozenset({"step", "epoch"})
_MINUTE, _HOUR = 60, 3_600


def reason(event: Event) -> str:
    """Return why something ended badly, as far as its event tells."""
    error = event.data.get("error")
    return str(error.get("message", "")) if isinstance(error, dict) else ""


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
