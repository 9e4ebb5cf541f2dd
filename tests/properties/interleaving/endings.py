"""How attempts end, and what is said of them; not all of it true."""

from dataclasses import dataclass
from uuid import uuid4

from msgspec.structs import replace

from app.core.retry import next_delay_s
from schemas.stage import Claim, Completion
from schemas.states import Outcome
from tests.support.workers import ending, loss

HOURS_S = 3600.0
POISON = [1, 2]
"""A result that is no object, so Postgres refuses to store it."""
ENDINGS = [
    *("completes", "completes", "completes", "hopeless", "hopeless", "fails"),
    *("lost", "drained", "stopped", "times_out", "poison", "later"),
]
FORGED = ["", "", "", "", "attempt", "token"]


@dataclass(frozen=True)
class Said:
    """What is said of one attempt; with a forged attempt or token, what another one might say."""

    attempt: int
    how: str
    forged: str

    def completion(self, claim: Claim) -> Completion:
        """The same, in words that Postgres understands."""
        told = _ending(claim, self.how)
        if self.forged == "attempt":
            return replace(told, attempt=told.attempt + 1)
        return replace(told, lease_token=uuid4()) if self.forged == "token" else told


def _ending(claim: Claim, how: str) -> Completion:
    again = next_delay_s(claim.failures + 1, claim, retryable=True, jitter=0)
    if how in {"completes", "poison"}:
        return ending(claim, result={} if how == "completes" else POISON)
    told: dict[str, Completion] = {
        "fails": ending(claim, Outcome.FAILED, retry_delay_s=again),
        "later": ending(claim, Outcome.FAILED, retry_delay_s=None if again is None else HOURS_S),
        "hopeless": ending(claim, Outcome.FAILED),
        "times_out": ending(claim, Outcome.TIMED_OUT, retry_delay_s=again),
        "drained": ending(claim, Outcome.CANCELLED, retry_delay_s=0, costs_retry=False),
        "stopped": ending(claim, Outcome.CANCELLED, costs_retry=False),
        "lost": loss(claim),
    }
    return told[how]
