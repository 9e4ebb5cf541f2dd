"""Metrics that attempts report, as series: on their way from a worker to Postgres, and as the API answers them."""

from uuid import UUID

from msgspec import Struct


class Point(Struct, frozen=True, array_like=True):
    """The ``n``-th report under one name, from 0; ``at`` is in Unix seconds of the database's clock."""

    n: int
    step: float
    value: float
    at: float


class SeriesReport(Struct, frozen=True, kw_only=True):
    """What is new under one name: ``points`` to keep, and the last one, which is shown whether it is kept or not.

    Of the reports every ``stride``-th is kept. If that has ``widened`` since the report before, some must go.
    """

    series: int
    name: str
    stride: int
    widened: bool
    last: Point
    points: list[Point]


class MetricsReport(Struct, frozen=True):
    """A running attempt has measured something."""

    stage: UUID
    lease_token: UUID
    series: list[SeriesReport]


class Series(Struct, kw_only=True):
    """What one attempt has reported under one name: triples of step, value and Unix time, the first one first."""

    name: str
    attempt: int
    points: list[tuple[int | float, float, float]]


class SeriesPage(Struct, kw_only=True):
    """One page of the series of a task; ``next_cursor`` is null on the last one."""

    items: list[Series]
    next_cursor: str | None
