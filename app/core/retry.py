"""When a stage gets another attempt, and when it has had enough."""

from typing import Protocol

LOSSES_MAX = 3
"""Lost attempts in a row after which a stage is suspected of killing its workers."""


JITTER = 0.1
"""By how much a delay is lengthened at most, so that stages that failed together do not come back together."""


class Policy(Protocol):
    """How a stage recovers from errors of its own."""

    @property
    def max_retries(self) -> int:
        """How often."""

    @property
    def retry_delay_s(self) -> float:
        """Seconds before the first retry."""

    @property
    def retry_backoff(self) -> float:
        """By how much each delay is longer than the one before, 1 for always the same."""

    @property
    def retry_delay_max_s(self) -> float:
        """Seconds that no delay exceeds, jitter aside; one that is asked for itself may."""


def next_delay_s(failures: int, policy: Policy, *, retryable: bool, jitter: float) -> float | None:
    """Seconds to wait before the next attempt, or None to give up.

    ``failures`` counts the errors of the stage's own since its budget was last granted, the present one included; lost
    and drained attempts are not among them. So a stage starts at most ``1 + max_retries`` times for its own errors.
    ``jitter`` is a random number from 0 to 1.
    """
    if not retryable or failures > policy.max_retries:
        return None
    longest_s = max(policy.retry_delay_s, policy.retry_delay_max_s)
    delay_s = min(policy.retry_delay_s * policy.retry_backoff ** (failures - 1), longest_s)
    return delay_s * (1 + JITTER * jitter)


def quarantined(losses: int) -> bool:
    """Whether to fail a stage that has lost this many workers in a row, the present one included."""
    return losses >= LOSSES_MAX
