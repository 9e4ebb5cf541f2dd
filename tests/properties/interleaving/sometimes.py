"""What schedules went through: every kind of trouble must have been met often enough, or nothing was proven.

In how many of 1,000 schedules each must have been met at least; about half of what is usual.
"""

from collections.abc import Mapping

FLOORS = {
    # clients that stop, wait, die and come again
    "waits": 500,
    "left_out": 400,
    "dies_open": 200,
    "dies_waiting": 100,
    "sent_again": 300,
    "bad_data": 70,
    # who waited
    "waits_claim": 250,
    "waits_complete": 250,
    "waits_release": 100,
    "waits_cancel": 50,
    "waits_pause": 70,
    "waits_resume": 20,
    "waits_retry": 20,
    "waits_start": 15,
    "waits_delete": 15,
    "waits_beat": 15,
    "waits_leave": 12,
    "pipeline_gone": 2,
    # claims
    "claim_repeated": 50,
    "claim_refused_old_job": 300,
    "claim_refused_by_another": 150,
    "claim_refused_by_cancel": 100,
    "claim_refused_by_pause": 150,
    "claim_without_a_lease": 150,
    # completions
    "stale": 400,
    "completion_repeated": 250,
    "completed_while_cancelling": 10,
    "lost": 70,
    "rescue_too_late": 150,
    # releases
    "stage_skipped": 60,
    "released_in_part": 1,
    "released_while_paused": 35,
    "pipeline_completed": 18,
    "pipeline_failed": 50,
    "pipeline_cancelled": 180,
    # what clients ask for
    "start_accepted": 50,
    "start_refused": 70,
    "cancel_accepted": 220,
    "cancel_refused": 20,
    "pause_accepted": 300,
    "pause_refused": 60,
    "resume_accepted": 80,
    "resume_refused": 80,
    "retry_accepted": 50,
    "retry_refused": 70,
    "retry_settled_first": 5,
    # leases
    "beat_cancelled": 2,
    "beat_fenced": 40,
    "beat_lost": 45,
    "beat_strangers": 35,
}


def too_rare(met: Mapping[str, int], schedules: int) -> dict[str, int]:
    """What happened less often than it must, with how often it did."""
    return {name: met.get(name, 0) for name, floor in FLOORS.items() if met.get(name, 0) * 1_000 < floor * schedules}
