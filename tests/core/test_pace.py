"""Speed and time to go, from reports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.pace import WINDOW_S, Pace


def pace_of(*reports, total=100):
    pace = Pace()
    for step, at in reports:
        pace.take(step, total, at)
    return pace


def test_one_report_tells_no_speed():
    assert (pace_of((5, 0)).steps_per_s, pace_of((5, 0)).eta_s) == (None, None)


def test_the_speed_is_that_of_the_last_minute():
    reports = [(second, second) for second in range(200)] + [(199 + 3 * n, 199 + n) for n in range(1, 100)]
    pace = pace_of(*reports, total=1_000)
    assert pace.steps_per_s == pytest.approx(3, rel=0.05)
    assert pace.eta_s == pytest.approx((1_000 - 496) / 3, rel=0.05)


def test_reports_that_come_seldom_tell_the_speed_from_one_to_the_next():
    assert pace_of((10, 0), (20, 600), (40, 1_200)).steps_per_s == 20 / 600


def test_what_goes_back_or_counts_something_else_begins_anew():
    assert pace_of((50, 0), (60, 10), (0, 20)).steps_per_s is None
    pace = pace_of((50, 0), (60, 10))
    pace.take(70, 1_000, 20)
    assert pace.steps_per_s is None


def test_what_stands_still_never_ends():
    pace = pace_of((50, 0), (50, 10))
    assert (pace.steps_per_s, pace.eta_s) == (0, None)


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 100)), min_size=2, max_size=300))
def test_whatever_comes_the_speed_is_possible_and_what_is_kept_is_bounded(moves):
    pace, step, at = Pace(), 0, 0.0
    for forward, later in moves:
        step, at = step + forward, at + later
        pace.take(step, 10_000, at)
    assert pace.steps_per_s is None or pace.steps_per_s >= 0
    assert len(pace._reports) <= WINDOW_S + 3
