"""What schedules went through: every kind of trouble must have been met often enough, or nothing was proven.

In how many of 1,000 schedules each must have been met at least; about half of what is usual.
"""

from collections.abc import Mapping

FLOORS = {
    # clients that stop, wait, die and come again
    "waits": 420,
    "left_out": 410,
    "dies_open": 400,
    "dies_waiting": 150,
    "sent_again": 350,
    "bad_data": 55,
    # who waited
    "waits_claim": 200,
    "waits_complete": 170,
    "waits_completetoworker": 120,
    "waits_release": 120,
    "waits_purge": 25,
    "waits_start": 18,
    "waits_cancel": 50,
    "waits_cancel_stage": 35,
    "waits_pause": 75,
    "waits_resume": 20,
    "waits_retry": 20,
    "waits_retry_stage": 30,
    "waits_delete": 16,
    "waits_beat": 11,
    "waits_leave": 8,
    "pipeline_gone": 1,
    # claims
    "claim_repeated": 30,
    "claim_refused_old_job": 280,
    "claim_refused_by_another": 100,
    "claim_refused_by_cancel": 130,
    "claim_refused_by_pause": 95,
    "claim_refused_by_queue": 170,
    "claim_without_a_lease": 130,
    # completions
    "stale": 370,
    "completion_repeated": 200,
    "completed_while_cancelling": 8,
    "lost": 55,
    "rescue_too_late": 120,
    # completions that are followed up
    "begun_at_once": 40,
    "begun_in_part": 10,
    "followed_up_and_not_begun": 60,
    "followed_up_without_a_lease": 3,
    "skipped_at_once": 40,
    "settled_at_once": 30,
    "too_much_to_follow_up": 3,
    # releases
    "stage_skipped": 140,
    "given_up": 7,
    "released_in_part": 85,
    "released_while_paused": 30,
    "pipeline_completed": 15,
    "pipeline_failed": 130,
    "pipeline_cancelled": 180,
    # what clients ask for
    "start_accepted": 35,
    "start_refused": 70,
    "cancel_accepted": 220,
    "cancel_refused": 19,
    "pause_accepted": 310,
    "pause_refused": 55,
    "resume_accepted": 65,
    "resume_refused": 75,
    "retry_accepted": 50,
    "retry_refused": 65,
    "retry_settled_first": 2,
    "cancel_stage_accepted": 200,
    "cancel_stage_refused": 55,
    "retry_stage_accepted": 50,
    "retry_stage_refused": 190,
    "purged": 140,
    # leases
    "beat_cancelled": 4,
    "beat_fenced": 30,
    "beat_lost": 35,
    "beat_strangers": 40,
}


def too_rare(met: Mapping[str, int], schedules: int) -> dict[str, int]:
    """What happened less often than it must, with how often it did."""
    return {name: met.get(name, 0) for name, floor in FLOORS.items() if met.get(name, 0) * 1_000 < floor * schedules}
