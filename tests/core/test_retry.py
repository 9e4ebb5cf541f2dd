"""The retry budget and the quarantine."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.retry import JITTER, LOSSES_MAX, next_delay_s, quarantined


class Policy(NamedTuple):
    max_retries: int = 20
    retry_delay_s: float = 60
    retry_backoff: float = 1
    retry_delay_max_s: float = 3600


def delay_s(failures: int, policy: Policy, *, retryable: bool = True, jitter: float = 0) -> float | None:
    return next_delay_s(failures, policy, retryable=retryable, jitter=jitter)


@pytest.mark.parametrize("max_retries", [0, 1, 3, 20])
def test_a_stage_that_always_fails_is_started_once_and_then_max_retries_times(max_retries):
    starts = 1
    while delay_s(starts, Policy(max_retries)) is not None:
        starts += 1
    assert starts == 1 + max_retries


def test_every_retry_waits_for_the_delay_of_the_stage():
    assert [delay_s(failures, Policy(2, 7.5)) for failures in (1, 2, 3)] == [7.5, 7.5, None]


def test_with_a_backoff_each_delay_is_a_multiple_of_the_one_before_up_to_the_longest():
    policy = Policy(retry_delay_s=10, retry_backoff=2, retry_delay_max_s=60)
    assert [delay_s(failures, policy) for failures in range(1, 6)] == [10, 20, 40, 60, 60]


def test_a_first_delay_beyond_the_longest_is_kept_and_not_lengthened():
    policy = Policy(retry_delay_s=7_200, retry_backoff=2, retry_delay_max_s=3_600)
    assert [delay_s(failures, policy) for failures in (1, 2)] == [7_200, 7_200]


def test_no_backoff_is_too_large_to_be_counted():
    assert delay_s(20, Policy(retry_delay_s=86_400, retry_backoff=100, retry_delay_max_s=86_400)) == 86_400


@given(st.floats(0, 1), st.integers(1, 20), st.floats(0, 86_400), st.floats(1, 100), st.floats(0, 86_400))
def test_jitter_makes_a_delay_longer_by_a_tenth_at_most_and_never_shorter(jitter, failures, delay, backoff, longest):
    policy = Policy(20, delay, backoff, longest)
    plain, jittered = delay_s(failures, policy), delay_s(failures, policy, jitter=jitter)
    assert plain is not None
    assert plain <= jittered <= plain * (1 + JITTER)


def test_a_delay_of_zero_is_a_retry_and_not_the_end():
    assert delay_s(1, Policy(1, 0), jitter=1) == 0


def test_an_error_that_a_retry_cannot_mend_ends_the_stage_at_once():
    assert delay_s(1, Policy(), retryable=False) is None


def test_the_third_loss_in_a_row_puts_a_stage_into_quarantine():
    assert LOSSES_MAX == 3
    assert [quarantined(losses) for losses in (0, 1, 2, 3, 4)] == [False, False, False, True, True]
