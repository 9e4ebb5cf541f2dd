"""Reports in the form of Kubeflow Trainer's KEP-2779, which Hugging Face's Trainer and others send by themselves."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct, field

PERCENT = 100
STEPS = ("current_step", "currentStep", "step")
TOTALS = ("total_steps", "totalSteps")

Take = Callable[[dict[str, Any]], None]


class Metric(Struct, frozen=True):
    """A metric; its value is a number written as a text."""

    name: str
    value: str | float


class TrainerStatus(Struct, frozen=True, rename="camel"):
    """How far a training has come; whatever else is said is left out."""

    progress_percentage: float | None = None
    estimated_remaining_seconds: float | None = None
    metrics: list[Metric] = field(default_factory=list)


class StatusUpdate(Struct, frozen=True, rename="camel"):
    """The body of a report."""

    trainer_status: TrainerStatus | None = None


class Listener:
    """Turns the reports of one attempt into lines of the run contract."""

    def __init__(self, path: str, take: Take) -> None:
        self.path = path
        self._take = take
        self._total: float | None = None

    def hear(self, body: bytes) -> None:
        """Pass on what a report says.

        Raises:
            ValueError: it is no report.

        """
        status = msgspec.json.decode(body, type=StatusUpdate).trainer_status
        if status is None:
            return
        measured = {metric.name: number for metric in status.metrics if (number := _number(metric.value)) is not None}
        self._total = _take_out(measured, TOTALS) or self._total
        step = _take_out(measured, STEPS)
        if step is None and status.progress_percentage is not None and self._total:
            step = status.progress_percentage * self._total / PERCENT
        if step is not None and self._total:
            self._tell(status, step=step, total=self._total)
        elif status.progress_percentage is not None:
            self._tell(status, step=status.progress_percentage, total=PERCENT)
        if measured:
            self._take({"type": "metrics", "step": step, "values": measured})

    def _tell(self, status: TrainerStatus, *, step: float, total: float) -> None:
        eta_s = status.estimated_remaining_seconds
        self._take({"type": "progress", "step": step, "total": total, "eta_s": eta_s})


def _take_out(measured: dict[str, float], names: tuple[str, ...]) -> float | None:
    """Take the first of these that is there: where a training has come to is told among its metrics."""
    found = [measured.pop(name) for name in names if name in measured]
    return found[0] if found else None


def _number(text: str | float) -> float | None:
    try:
        return float(text)
    except (ValueError, OverflowError):
        return None
