"""Every kind of trouble must have happened often enough, or the promise was kept in calm weather only.

In how many of 10,000 schedules each must have been met at least; well below what is usual, well above chance.
"""

from collections.abc import Mapping

PER = 10_000
FLOORS = {
    # what clients ask for, accepted
    "start": 4000,
    "cancel": 900,
    "pause": 500,
    "resume": 300,
    "retry": 180,
    "cancel_stage": 500,
    "retry_stage": 100,
    "purge": 1000,
    "pause_queue": 1000,
    "resume_queue": 1000,
    # processes
    "crash_worker": 1000,
    "crash_scheduler": 500,
    "crash_api": 1500,
    "suspend_worker": 800,
    "suspend_scheduler": 800,
    "drain": 800,
    "slow": 1500,
    # Postgres
    "outage": 800,
    "cut_off": 800,
    "refused": 2000,
    "lost_reply": 2000,
    "slow_reply": 600,
    "locked": 800,
    "call_after_its_caller_gave_up": 250,
    # Redis
    "flushall": 800,
    "redis_away": 800,
    "lost_job": 800,
    "doubled_job": 800,
    "shuffled": 2000,
    "lost_hint": 600,
    "doubled_hint": 500,
    "lost_wake": 500,
    # stages
    "fails": 1500,
    "hangs": 400,
    "hopeless": 30,
    "ignores_sigterm": 120,
    "poison": 150,
    "task_unknown": 300,
    # trigger rules and limits
    "alert": 300,
    "alert_not_needed": 1000,
    "failure_allowed": 200,
    "given_up": 200,
    "done_anew": 8,
    # the races themselves
    "claim_repeated": 1200,
    "completion_repeated": 1200,
    "double_delivery_refused": 900,
    "old_job_refused": 50,
    "claim_refused_by_cancel": 180,
    "claim_refused_by_pause": 180,
    "late_completion_refused": 120,
    "zombie_returns_late": 70,
    "rescue_came_too_late": 3,
    "rescued": 700,
    "quarantined": 120,
    "timeout_enforced": 60,
    "stranger_handed_back": 120,
    "lease_in_doubt": 900,
    "lease_lost": 200,
    "drained_attempt": 100,
    "two_release_at_once": 120,
    "swept": 1500,
}


def too_rare(met: Mapping[str, int], runs: int) -> dict[str, int]:
    """What happened less often than it must, with how often it did."""
    return {name: met.get(name, 0) for name, floor in FLOORS.items() if met.get(name, 0) * PER < floor * runs}
