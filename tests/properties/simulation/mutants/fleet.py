"""Defects of the rules in ``app.core`` that workers and rescuers ask, and of the processes themselves."""

from typing import Any, NamedTuple

from app.core import retry
from app.core.transitions import ONLY_WHILE, PIPELINE_MOVES, PipelineEvent, StageEvent
from schemas.states import Outcome, PipelineStatus
from tests.properties.simulation.mutants.planting import Patch, mutant
from tests.properties.simulation.world import lease, worker
from tests.properties.simulation.world.attempt import RunningAttempt
from tests.properties.simulation.world.redis import Redis
from tests.properties.simulation.world.scheduler import SWEEP_S, Scheduler
from tests.properties.simulation.world.worker import Worker

_delay = retry.next_delay_s


class _Longer(NamedTuple):
    """A policy with another budget."""

    policy: retry.Policy
    more: int

    @property
    def max_retries(self) -> int:
        return self.policy.max_retries + self.more

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)


def _one_less(failures: int, policy: retry.Policy, *, retryable: bool, jitter: float) -> float | None:
    return _delay(failures, _Longer(policy, -1), retryable=retryable, jitter=jitter)


def _one_more(failures: int, policy: retry.Policy, *, retryable: bool, jitter: float) -> float | None:
    return _delay(failures, _Longer(policy, +1), retryable=retryable, jitter=jitter)


def _hopeless_too(failures: int, policy: retry.Policy, *, retryable: bool, jitter: float) -> float | None:
    return _delay(failures, policy, retryable=retryable or bool(failures), jitter=jitter)


def _trusts_from_the_start(self: Any, now: float) -> bool:
    return self.ticked_at is not None and now - self.ticked_at > 2 * SWEEP_S + 1


RULES = (
    mutant("one_retry_less", "the budget is one attempt short", retry, "next_delay_s", _one_less),
    mutant("one_retry_more", "the budget is one attempt too long", retry, "next_delay_s", _one_more),
    mutant("hopeless_is_retried", "errors that no retry helps are retried", retry, "next_delay_s", _hopeless_too),
    mutant("no_quarantine", "a stage may kill workers for ever", retry, "quarantined", lambda _losses: False),
    mutant("quarantine_too_early", "two losses in a row", retry, "quarantined", lambda losses: losses >= 2),
    mutant(
        "table_claims_while_paused",
        "the grammar lets a stage begin in a paused pipeline",
        ONLY_WHILE,
        StageEvent.CLAIM,
        frozenset({PipelineStatus.RUNNING, PipelineStatus.PAUSED}),
    ),
    mutant(
        "table_retries_completed",
        "the grammar lets a completed pipeline be retried",
        PIPELINE_MOVES,
        PipelineEvent.RETRY,
        dict.fromkeys(
            (PipelineStatus.FAILED, PipelineStatus.CANCELLED, PipelineStatus.COMPLETED), PipelineStatus.RUNNING
        ),
    ),
)
SCHEDULERS = (
    mutant(
        "no_sweep", "nobody looks for what lost hints left", Scheduler, "sees_something_to_release", lambda _: False
    ),
    mutant("no_dispatch_again", "nobody repairs Redis", Scheduler, "dispatch_again", lambda _: None),
    mutant("in_flight_for_ever", "jobs of dead workers are not put back", Redis, "put_back_stale", lambda _: None),
    mutant("rescuer_never_waits", "an outage condemns the fleet", Scheduler, "was_away", lambda _self, _now: False),
    mutant(
        "rescuer_trusts_from_the_start",
        "a scheduler that begins after an outage condemns the fleet",
        Scheduler,
        "was_away",
        _trusts_from_the_start,
    ),
)
WORKERS = (
    mutant("guard_never_lets_go", "a worker in doubt goes on", lease, "on_doubt", lambda _worker, _share: None),
    mutant(
        "lease_counts_from_the_answer",
        "a lease is believed to begin when its renewal was answered",
        lease,
        "renewal_counts_from",
        lambda _began, answered: answered,
    ),
    mutant(
        "hands_back_and_starts_late",
        "an attempt is handed back while its claim is still being repeated, and started however late the answer comes",
        Worker,
        "is_stranger",
        lambda self, stranger: stranger.lease_token not in self.attempts,
        Patch(Worker, "is_too_late", lambda _self, _asked_at: False),
    ),
    mutant(
        "hand_back_counts_as_loss",
        "a forgotten attempt that is handed back counts towards quarantine, and is not held to it",
        worker,
        "HANDED_BACK_AS",
        Outcome.LOST,
    ),
    mutant(
        "starts_without_a_lease",
        "a claim that is answered after the lease was lost is started",
        Worker,
        "may_start",
        lambda _self: True,
    ),
    mutant(
        "starts_what_was_stopped",
        "an attempt that was told to stop before it began begins",
        RunningAttempt,
        "may_start",
        lambda _self: True,
    ),
    mutant(
        "drain_ends_the_timeout",
        "an attempt that ignored a drain which was called off has no timeout any more",
        RunningAttempt,
        "gives_up_draining_at",
        lambda _self, _deadline: float("inf"),
    ),
)
ALL = RULES + SCHEDULERS + WORKERS
