"""What an attempt measures, thinned as it grows, until it is written.

Of a series every report is kept at first. Whenever ``POINTS_MAX`` are, every second one of them goes, and from then on
every second report is kept, then every fourth, and so on: so a series of any length has 500 to 1,000 points at even
distances, and costs few writes. The very last report is shown besides.
"""

from collections.abc import Iterable, Mapping

from schemas.series import Point, SeriesReport

POINTS_MAX = 1_000
NAMES_MAX = 256
WRITTEN_AT_ONCE = 10_000
"""Points in one statement."""


class _Series:
    def __init__(self, number: int, name: str) -> None:
        self.number, self.name = number, name
        self.stride = 1
        self.widened = False
        self.last: Point | None = None
        self.waiting: list[Point] = []
        self._reported = 0
        self._kept = 0

    def add(self, step: float | None, value: float, at: float) -> None:
        n = self._reported
        self._reported += 1
        self.last = Point(n, float(n if step is None else step), float(value), at)
        if n % self.stride == 0:
            self.waiting.append(self.last)
            self._kept += 1
        if self._kept == POINTS_MAX:
            self.stride *= 2
            self.widened = True
            self._kept = POINTS_MAX // 2
            self.waiting = [point for point in self.waiting if point.n % self.stride == 0]

    def drain(self, room: int) -> SeriesReport:
        assert self.last is not None
        points, self.waiting = self.waiting[:room], self.waiting[room:]
        widened, self.widened = self.widened, False
        return SeriesReport(
            series=self.number,
            name=self.name,
            stride=self.stride,
            widened=widened,
            last=self.last,
            points=points,
        )

    def restore(self, report: SeriesReport) -> None:
        self.waiting = [point for point in report.points if point.n % self.stride == 0] + self.waiting
        self.widened = self.widened or report.widened


class SeriesBuffer:
    """The series of one attempt: what was not written yet, and how far each is thinned."""

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}
        self._changed: dict[str, _Series] = {}

    def __bool__(self) -> bool:
        """Whether there is something to write."""
        return bool(self._changed)

    def take(self, step: float | None, values: Mapping[str, float], at: float) -> None:
        """Add what was measured after ``step``; without one, the reports of a name are counted."""
        for name, value in values.items():
            series = self._series.get(name)
            if series is None:
                if len(self._series) == NAMES_MAX:
                    continue
                series = self._series[name] = _Series(len(self._series), name)
            series.add(step, value, at)
            self._changed[name] = series

    def drain(self) -> list[SeriesReport]:
        """Take out what is to be written, at most ``WRITTEN_AT_ONCE`` points of it."""
        reports: list[SeriesReport] = []
        room = WRITTEN_AT_ONCE
        while self._changed and room > 0:
            name, series = next(iter(self._changed.items()))
            reports.append(series.drain(room))
            room -= len(reports[-1].points)
            if not series.waiting:
                del self._changed[name]
        return reports

    def restore(self, reports: Iterable[SeriesReport]) -> None:
        """Put back what could not be written."""
        for report in reports:
            self._series[report.name].restore(report)
            self._changed[report.name] = self._series[report.name]
