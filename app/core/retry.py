"""When a stage gets another attempt, and when it has had enough."""

LOSSES_MAX = 3
"""Lost attempts in a row after which a stage is suspected of killing its workers."""


def next_delay_s(failures: int, max_retries: int, retry_delay_s: float, *, retryable: bool) -> float | None:
    """Seconds to wait before the next attempt, or None to give up.

    ``failures`` counts the errors of the stage's own since its budget was last granted, the present one included; lost
    and drained attempts are not among them. So a stage starts at most ``1 + max_retries`` times for its own errors.
    """
    if not retryable or failures > max_retries:
        return None
    return retry_delay_s


def quarantined(losses: int) -> bool:
    """Whether to fail a stage that has lost this many workers in a row, the present one included."""
    return losses >= LOSSES_MAX
