"""How fast a training gets on, from where it has said to be and when."""

from collections import deque

WINDOW_S = 60.0
"""The speed is that of the last minute, or of the last two reports where they are further apart."""
SPACING_S = 1.0
"""Reports that come closer together count as one."""


class Pace:
    """Takes reports of ``step`` of ``total`` steps at a time in seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self.total = 0.0
        self._reports: deque[tuple[float, float]] = deque()

    def take(self, step: float, total: float, at: float) -> None:
        """Add a report; one that goes back, or that counts something else, begins anew."""
        reports = self._reports
        if total != self.total or (reports and step < reports[-1][0]):
            reports.clear()
        self.total = total
        if len(reports) > 1 and at - reports[-2][1] < SPACING_S:
            reports.pop()
        reports.append((step, at))
        while len(reports) > 2 and reports[1][1] < at - WINDOW_S:  # noqa: PLR2004 - two make a distance
            reports.popleft()

    @property
    def steps_per_s(self) -> float | None:
        """Steps in a second; None before the second report."""
        if len(self._reports) < 2:  # noqa: PLR2004 - as above
            return None
        (first_step, began), (last_step, at) = self._reports[0], self._reports[-1]
        return (last_step - first_step) / (at - began) if at > began else None

    @property
    def eta_s(self) -> float | None:
        """Seconds until ``total`` at this speed; None while it stands still."""
        speed = self.steps_per_s
        return max(0.0, self.total - self._reports[-1][0]) / speed if speed else None
