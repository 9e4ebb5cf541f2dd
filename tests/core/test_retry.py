"""The retry budget and the quarantine."""

import pytest

from app.core.retry import LOSSES_MAX, next_delay_s, quarantined


@pytest.mark.parametrize("max_retries", [0, 1, 3, 20])
def test_a_stage_that_always_fails_is_started_once_and_then_max_retries_times(max_retries):
    starts = 1
    while next_delay_s(failures=starts, max_retries=max_retries, retry_delay_s=60, retryable=True) is not None:
        starts += 1
    assert starts == 1 + max_retries


def test_every_retry_waits_for_the_delay_of_the_stage():
    assert next_delay_s(1, 2, 7.5, retryable=True) == 7.5
    assert next_delay_s(2, 2, 7.5, retryable=True) == 7.5


def test_a_delay_of_zero_is_a_retry_and_not_the_end():
    assert next_delay_s(1, 1, 0, retryable=True) == 0


def test_an_error_that_a_retry_cannot_mend_ends_the_stage_at_once():
    assert next_delay_s(1, 20, 60, retryable=False) is None


def test_the_third_loss_in_a_row_puts_a_stage_into_quarantine():
    assert LOSSES_MAX == 3
    assert [quarantined(losses) for losses in (0, 1, 2, 3, 4)] == [False, False, False, True, True]
