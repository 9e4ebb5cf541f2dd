"""What an attempt was last heard to do: its last step and losses, and when that was. For the diagnosis of its end."""

import math
import re
import time
from collections import deque
from typing import Any

from schemas.diagnosis import Facts
from workers.room import Attempt

LOSSES_KEPT = 20
_LOSS = re.compile(r"(?:^|[_/.])loss(?:$|[_/.])", re.IGNORECASE)


class Heard:
    """Listens to what an attempt reports, until it is asked to stop: what it says then is not its work any more."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._began = time.monotonic()
        self._at: float | None = None
        self._spoke = False
        self._step: float | None = None
        self._progress: float | None = None
        self._losses: deque[float] = deque(maxlen=LOSSES_KEPT)

    def take(self, line: dict[str, Any]) -> None:
        """Take one line of the run contract, whatever is in it."""
        if self._attempt.stop_reason is not None:
            return
        self._spoke = True
        if line.get("type") not in {"progress", "metrics"}:
            return
        self._at = time.monotonic()
        if (step := _number(line.get("step"))) is not None and math.isfinite(step):
            self._step = step
        total = _number(line.get("total"))
        if line["type"] == "progress" and self._step is not None and total is not None and total > 0:
            share = self._step / total
            self._progress = min(1.0, max(0.0, share)) if math.isfinite(share) else None
        values = line.get("values", line)
        if isinstance(values, dict):
            losses = (_number(value) for name, value in values.items() if _LOSS.search(str(name)))
            self._losses.extend([loss for loss in losses if loss is not None][:1])

    def facts(self, *, oom_kills: int = 0, final: bool = False) -> Facts:
        """Tell what is known at its end."""
        now = time.monotonic()
        return Facts(
            ran_s=round(now - self._began, 3),
            spoke=self._spoke,
            step=self._step,
            progress=self._progress,
            losses=[loss if math.isfinite(loss) else None for loss in self._losses],
            silent_s=None if self._at is None else round(now - self._at, 3),
            oom_kills=oom_kills,
            final=final,
        )


def _number(value: Any) -> float | None:
    """The number as a float; an integer too large for one is none."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None
