"""Defects of leases: the beat, the expiry, the rescue, and what running attempts report."""

from tests.properties.mutants.mutant import PROTOCOL, Mutant

WORKERS, STAGES, CHECKPOINTS = (f"app/db/queries/{noun}.sql" for noun in ("workers", "stages", "checkpoints"))
BEATS = (
    Mutant(
        "beat_revives_the_lost",
        "a worker whose lease was taken gets it back by beating",
        PROTOCOL,
        {"WHERE id = worker AND state IN ('live', 'draining');": "WHERE id = worker;"},
        ("test_a_worker_whose_lease_was_taken_is_told_so_and_gets_it_back_never",),
    ),
    Mutant(
        "beat_drops_who_leaves",
        "a worker that drains cannot renew its lease",
        PROTOCOL,
        {"WHERE id = worker AND state IN ('live', 'draining');": "WHERE id = worker AND state = 'live';"},
        ("test_a_worker_that_is_leaving_keeps_its_lease_while_it_beats",),
    ),
    Mutant(
        "beat_by_an_early_clock",
        "a beat that waited for another sets the lease back",
        PROTOCOL,
        {"    PERFORM FROM workers WHERE id = worker AND state IN ('live', 'draining') FOR NO KEY UPDATE;\n": ""},
        ("test_of_two_beats_at_once_the_one_that_waited_does_not_set_the_lease_back",),
    ),
    Mutant(
        "beat_renews_nothing",
        "a beat leaves the lease as it is",
        PROTOCOL,
        {"expires_at = moment + lease_timeout_s * interval '1 second'\n": "expires_at = lease_expires_at\n"},
        ("test_a_beat_renews_the_lease",),
    ),
    Mutant(
        "beat_forgets_cancels",
        "a worker does not hear that its pipeline was cancelled",
        PROTOCOL,
        {"s.cancel_asked OR p.status = 'cancelling' AS cancelled": "s.cancel_asked AS cancelled"},
        ("test_it_hears_of_cancels",),
    ),
    Mutant(
        "beat_forgets_single_cancels",
        "a worker does not hear that its stage was cancelled singly",
        PROTOCOL,
        {"s.cancel_asked OR p.status = 'cancelling' AS cancelled": "p.status = 'cancelling' AS cancelled"},
        ("test_it_hears_of_cancels",),
    ),
    Mutant(
        "beat_forgets_the_fenced",
        "a worker does not hear that a stage is no longer its own",
        PROTOCOL,
        {"FILTER (WHERE m.uuid IS NULL), '[]')": "FILTER (WHERE false), '[]')"},
        ("test_it_hears_what_is_no_longer_its_own",),
    ),
    Mutant(
        "beat_forgets_strangers",
        "a worker does not hear of claims whose answer got lost",
        PROTOCOL,
        {"WHERE h.stage IS NULL AND m.started_at <": "WHERE false AND m.started_at <"},
        ("test_a_claim_it_never_heard_of_is_a_stranger_after_a_whole_lease",),
    ),
    Mutant(
        "beat_tells_strangers_at_once",
        "a worker is told to hand back claims that it is just being granted",
        PROTOCOL,
        {"AND m.started_at < moment - lease_timeout_s * interval '1 second'), '[]')": "), '[]')"},
        ("test_a_claim_it_never_heard_of_is_a_stranger_after_a_whole_lease",),
    ),
    Mutant(
        "beat_believes_any_token",
        "a worker holds what it names, under whatever lease token",
        PROTOCOL,
        {"ON m.uuid = h.stage AND m.lease_token = h.lease_token);": "ON m.uuid = h.stage);"},
        ("test_it_hears_what_is_no_longer_its_own",),
    ),
    Mutant(
        "beat_waits_for_the_disk",
        "a beat commits synchronously",
        PROTOCOL,
        {"PERFORM set_config('synchronous_commit', 'off', true);": "NULL;"},
        ("test_a_beat_does_not_wait_for_the_disk",),
    ),
)
RECHECK = "                     FOR UPDATE SKIP LOCKED)\n       AND lease_expires_at < clock_timestamp();\n"
EXPIRIES = (
    Mutant(
        "leases_never_expire",
        "nobody takes a lease that has run out",
        PROTOCOL,
        {"WHERE state IN ('live', 'draining') AND lease_expires_at < clock_timestamp()\n": "WHERE false\n"},
        ("test_only_leases_that_have_run_out_are_taken",),
    ),
    Mutant(
        "leases_expire_early",
        "leases are taken that have not run out",
        PROTOCOL,
        {
            " AND lease_expires_at < clock_timestamp()\n": "\n",
            RECHECK: "                     FOR UPDATE SKIP LOCKED);\n",
        },
        ("test_only_leases_that_have_run_out_are_taken",),
    ),
    Mutant(
        "expiry_of_who_has_left",
        "a worker that has stopped is lost",
        PROTOCOL,
        {"state IN ('live', 'draining') AND lease_expires_at < clock": "lease_expires_at < clock"},
        ("test_a_worker_that_has_stopped_is_not_lost",),
    ),
    Mutant(
        "expiry_without_recheck",
        "the statement that takes a lease does not look again whether it has run out",
        PROTOCOL,
        {RECHECK: "                     FOR UPDATE SKIP LOCKED);\n"},
        ("tests/services/test_beat.py", "tests/services/test_rescue.py"),
        masked_by="FOR UPDATE SKIP LOCKED, which passes over a worker that beats and looks at the row again",
    ),
    Mutant(
        "expiry_without_lock",
        "leases that have run out are looked for without a lock",
        PROTOCOL,
        {RECHECK: ")\n       AND lease_expires_at < clock_timestamp();\n"},
        ("test_a_lease_that_is_just_being_renewed_is_not_taken_nor_waited_for",),
    ),
    Mutant(
        "expiry_believes_its_first_look",
        "leases are taken that were renewed meanwhile",
        PROTOCOL,
        {RECHECK: ");\n"},
        ("test_a_lease_that_is_just_being_renewed_is_not_taken_nor_waited_for",),
    ),
    Mutant(
        "leave_revives_the_lost",
        "a lost worker comes back by draining",
        WORKERS,
        {"WHERE id = $1 AND state IN ('live', 'draining')": "WHERE id = $1"},
        ("test_a_lost_worker_does_not_come_back_by_leaving",),
    ),
)
RESCUES = (
    Mutant(
        "lost_stages_not_found",
        "the stages of lost workers are not found",
        STAGES,
        {"WHERE status = 'running' AND worker_id NOT IN (": "WHERE false AND worker_id NOT IN ("},
        ("test_a_stage_of_a_lost_worker_runs_elsewhere_as_its_next_attempt",),
    ),
    Mutant(
        "draining_counts_as_lost",
        "the stages of a worker that drains are taken from it",
        STAGES,
        {"WHERE state IN ('live', 'draining')) LIMIT $1": "WHERE state = 'live') LIMIT $1"},
        ("test_the_stages_of_a_worker_with_a_lease_are_left_alone",),
    ),
    Mutant(
        "left_behind_not_found",
        "the stages of a worker that has left without them are not found",
        STAGES,
        {
            "worker_id NOT IN (\n            SELECT id FROM workers WHERE state IN ('live', 'draining')) LIMIT $1": (
                "worker_id IN (\n            SELECT id FROM workers WHERE state = 'lost') LIMIT $1"
            )
        },
        ("test_a_stage_whose_worker_has_left_without_it_is_rescued_too",),
    ),
    Mutant(
        "overdue_counts_the_dead",
        "the stage of a dead worker is charged as timed out",
        STAGES,
        {" AND lease_expires_at > clock_timestamp())": ")"},
        ("test_the_stage_of_a_dead_worker_is_lost_and_not_charged_as_timed_out",),
    ),
    Mutant(
        "overdue_too_early",
        "an attempt is ended at its timeout although its worker is about to do so",
        STAGES,
        {"2 * $1::double precision": "0 * $1::double precision"},
        ("test_until_then_its_worker_has_the_time_to_end_it",),
    ),
    Mutant(
        "timeouts_never_enforced",
        "nobody ends an attempt that its worker should have ended",
        STAGES,
        {"< clock_timestamp() - 2 * $1": "< 'epoch'::timestamptz - 2 * $1"},
        ("test_an_attempt_two_leases_past_its_timeout_is_ended",),
    ),
    Mutant(
        "total_timeouts_never_enforced",
        "nobody ends an attempt that runs beyond its total timeout",
        STAGES,
        {"interval '1 second', s.expires_at)\n": "interval '1 second')\n"},
        ("test_an_attempt_that_its_worker_lets_run_beyond_the_total_timeout_is_ended",),
    ),
    Mutant(
        "rescue_charges_the_budget",
        "a lost worker costs its stage a retry",
        "app/services/stages.py",
        {
            "        outcome=Outcome.LOST,\n": "        outcome=Outcome.FAILED,\n",
            "retry_delay_s=None if retry.quarantined(losses) else 0,\n        costs_retry=False,": (
                "retry_delay_s=None if retry.quarantined(losses) else 0,"
            ),
        },
        ("test_a_stage_of_a_lost_worker_runs_elsewhere_as_its_next_attempt",),
    ),
    Mutant(
        "no_quarantine",
        "a stage may kill any number of workers",
        "app/services/stages.py",
        {"retry_delay_s=None if retry.quarantined(losses) else 0,": "retry_delay_s=0,"},
        ("test_a_stage_that_loses_too_many_workers_in_a_row_is_failed",),
    ),
)
REPORTS = (
    Mutant(
        "progress_without_fence",
        "progress is kept from whoever reports it",
        STAGES,
        {"f.status = 'running' AND f.lease_token = r.lease_token\n": "f.status = 'running'\n"},
        ("test_progress_of_an_attempt_that_does_not_hold_its_stage_is_not",),
    ),
    Mutant(
        "progress_waits",
        "who reports progress waits for those who end stages",
        STAGES,
        {"FOR NO KEY UPDATE OF f SKIP LOCKED": "FOR NO KEY UPDATE OF f"},
        ("test_reporting_progress_waits_for_nobody",),
    ),
    Mutant(
        "checkpoints_without_fence",
        "checkpoints are kept from whoever reports them",
        CHECKPOINTS,
        {"AND s.status = 'running' AND s.lease_token = r.lease_token": ""},
        ("test_checkpoints_of_an_attempt_that_does_not_hold_its_stage_are_not_kept",),
    ),
    Mutant(
        "condemned_without_fence",
        "an attempt that has lost its stage condemns checkpoints",
        CHECKPOINTS,
        {"AND s.lease_token = $2\n   AND c.pipeline_id": "AND $2::uuid IS NOT NULL\n   AND c.pipeline_id"},
        ("test_a_checkpoint_that_is_condemned_is_resumed_from_no_more",),
    ),
    Mutant(
        "resume_points_go",
        "the checkpoint where a stage would resume is marked for deletion",
        CHECKPOINTS,
        {"AND NOT (c.state = 'complete' AND may_resume": "AND NOT (c.state = 'molten' AND may_resume"},
        ("test_the_resume_point_of_a_stage_that_may_run_again_is_never_marked_for_deletion",),
    ),
    Mutant(
        "half_written_ones_go",
        "a checkpoint that is being written is marked for deletion",
        CHECKPOINTS,
        {"   AND NOT (c.state = 'writing' AND s.status = 'running' AND c.attempt = s.attempt)\n": ""},
        ("test_a_checkpoint_that_is_being_written_is_never_marked_for_deletion",),
    ),
    Mutant(
        "rewritten_ones_are_gone",
        "a checkpoint that was written anew while it was deleted is called deleted",
        CHECKPOINTS,
        {"WHERE id = ANY ($1) AND state = 'deleting'\n": "WHERE id = ANY ($1)\n"},
        ("test_a_path_that_is_written_again_is_the_same_checkpoint_at_its_new_step",),
    ),
    Mutant(
        "gone_ones_are_pinned",
        "a checkpoint that is being deleted is pinned",
        CHECKPOINTS,
        {" AND (NOT $2 OR state NOT IN ('deleting', 'deleted'))": ""},
        ("test_what_goes_cannot_be_pinned_any_more",),
    ),
    Mutant(
        "pins_do_not_hold",
        "a pinned checkpoint is marked for deletion",
        CHECKPOINTS,
        {"   AND NOT c.pinned AND c.state <> 'deleted'\n": "   AND c.state <> 'deleted'\n"},
        ("test_a_pinned_checkpoint_is_never_marked_for_deletion",),
    ),
)
ALL = BEATS + EXPIRIES + RESCUES + REPORTS
