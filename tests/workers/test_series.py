"""Metrics on their way out of a worker: thinned as they grow, and never too many at once."""

import math

import pytest

from workers import series
from workers.report import is_name, is_number, numbers
from workers.series import POINTS_MAX, SeriesBuffer


def written(buffer, rows):
    """Write a buffer as Postgres would, until nothing is left."""
    while buffer:
        apply(buffer.drain(), rows)


def apply(reports, rows):
    for report in reports:
        kept = rows.setdefault(report.name, {})
        if report.widened:
            rows[report.name] = kept = {n: point for n, point in kept.items() if n % report.stride == 0}
        kept.update({point.n: point for point in report.points})


@pytest.mark.parametrize("count", [1, 2, 999, 1_000, 1_001, 2_000, 5_000, 123_456])
@pytest.mark.parametrize("batch", [1, 7, 100_000])
def test_a_series_of_any_length_is_kept_at_even_distances_and_never_too_long(count, batch):
    buffer, rows = SeriesBuffer(), {}
    for number in range(count):
        buffer.take(number * 10, {"loss": number}, at=number)
        if number % batch == 0:
            written(buffer, rows)
    written(buffer, rows)
    kept = sorted(rows["loss"])
    distance = kept[1] - kept[0] if len(kept) > 1 else 1
    assert kept == list(range(0, count, distance))
    assert len(kept) < POINTS_MAX
    assert count < POINTS_MAX or len(kept) >= POINTS_MAX // 2
    assert [(point.step, point.value) for point in rows["loss"].values()][-1] == (kept[-1] * 10, kept[-1])


def test_the_last_report_is_told_whether_it_is_kept_or_not():
    buffer = SeriesBuffer()
    for number in range(1_502):
        buffer.take(None, {"loss": number}, at=0)
    (report,) = buffer.drain()
    assert (report.stride, report.last.n, report.last.value) == (2, 1_501, 1_501)
    assert report.points[-1].n == 1_500


def test_reports_without_a_step_are_counted():
    buffer = SeriesBuffer()
    for _ in range(3):
        buffer.take(None, {"loss": 0.5}, at=0)
    assert [point.step for point in buffer.drain()[0].points] == [0, 1, 2]


def test_a_report_that_could_not_be_written_is_written_with_the_next_one():
    buffer, rows = SeriesBuffer(), {}
    for number in range(600):
        buffer.take(None, {"loss": number, "lr": 1}, at=0)
    failed = buffer.drain()
    for number in range(600, 1_200):
        buffer.take(None, {"loss": number, "lr": 1}, at=0)
    apply(failed, rows)  # it was written, and only the answer was lost
    buffer.restore(failed)
    written(buffer, rows)
    assert sorted(rows["loss"]) == sorted(rows["lr"]) == list(range(0, 1_200, 2))
    assert not buffer


def test_what_had_to_go_goes_also_when_the_report_that_said_so_was_lost():
    buffer, rows = SeriesBuffer(), {}
    for number in range(999):
        buffer.take(None, {"loss": number}, at=0)
    written(buffer, rows)
    buffer.take(None, {"loss": 999}, at=0)
    lost = buffer.drain()
    assert lost[0].widened
    buffer.restore(lost)
    written(buffer, rows)
    assert sorted(rows["loss"]) == list(range(0, 1_000, 2))


def test_one_statement_has_a_bounded_number_of_points(monkeypatch):
    monkeypatch.setattr(series, "WRITTEN_AT_ONCE", 500)
    buffer, rows, sizes = SeriesBuffer(), {}, []
    for number in range(300):
        buffer.take(number, {f"m{index}": number for index in range(5)}, at=0)
    while buffer:
        reports = buffer.drain()
        sizes.append(sum(len(report.points) for report in reports))
        apply(reports, rows)
    assert sizes == [500, 500, 500]
    assert {name: len(points) for name, points in rows.items()} == {f"m{index}": 300 for index in range(5)}


def test_a_stage_has_a_bounded_number_of_names():
    buffer = SeriesBuffer()
    for number in range(1_000):
        buffer.take(None, {f"m{number}": 1}, at=0)
    assert len(buffer.drain()) == series.NAMES_MAX
    buffer.take(None, {"m0": 2, "m999": 2}, at=0)
    assert [report.name for report in buffer.drain()] == ["m0"]


def test_only_finite_numbers_under_names_that_can_be_shown_are_metrics():
    values = {
        "loss": 0.5,
        "step": 3,
        "nan": math.nan,
        "inf": -math.inf,
        "huge": 10**400,
        "text": "0.5",
        "flag": True,
        "nothing": None,
        "list": [1],
        "": 1,
        "a\0b": 1,
        "\ud800": 1,
        "line\nbreak": 1,
        "n" * 129: 1,
        "nünf / 5": 5,
    }
    assert numbers(values) == {"loss": 0.5, "step": 3, "nünf / 5": 5}
    assert is_number(2**1023)
    assert not is_number(2**1024)
    assert is_name("n" * 128)
