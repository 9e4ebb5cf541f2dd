"""Defects of the completion: whose outcome is believed, and what becomes of the stage."""

from tests.properties.mutants.mutant import COMPLETION, Mutant

COMPLETION_LOCKS = (
    "    locked bigint[] := lock_pipelines(ARRAY(\n"
    "        SELECT DISTINCT s.pipeline_id FROM stages AS s WHERE s.uuid = ANY (wanted)), wait);\n"
)
FENCE = "AND s.status || '' = 'running'\n           AND s.attempt = d.attempt AND s.lease_token = d.lease_token\n"
FENCES = (
    Mutant(
        "no_fence",
        "anybody may end a stage that runs",
        COMPLETION,
        {FENCE: "AND s.status || '' = 'running'\n"},
        ("test_another_lease_token_is_stale", "test_a_worker_that_was_given_up_cannot_end_the_attempt_after_its_own"),
    ),
    Mutant(
        "fence_without_status",
        "a completion does not compare the status",
        COMPLETION,
        {FENCE: FENCE.replace("AND s.status || '' = 'running'\n           ", "")},
        (
            "tests/services/test_complete.py",
            "tests/services/test_complete_fences.py",
            "tests/services/test_random_rounds.py",
        ),
        masked_by="the lease token, which a stage has only while it runs",
    ),
    Mutant(
        "fence_without_attempt",
        "a completion does not compare the attempt",
        COMPLETION,
        {FENCE: FENCE.replace("AND s.attempt = d.attempt ", "")},
        ("test_another_attempt_is_stale",),
    ),
    Mutant(
        "fence_without_token",
        "a completion does not compare the lease token",
        COMPLETION,
        {FENCE: FENCE.replace(" AND s.lease_token = d.lease_token", "")},
        ("test_another_lease_token_is_stale",),
    ),
    Mutant(
        "fence_leaves_the_lease",
        "an ended stage keeps its lease token",
        COMPLETION,
        {"SET status = d.status, lease_token = NULL,\n": "SET status = d.status,\n"},
        ("test_a_completed_stage_keeps_its_result_and_gives_up_its_lease",),
    ),
    Mutant(
        "completes_what_is_locked",
        "a completion ends stages of pipelines that somebody else has locked",
        COMPLETION,
        {"AND s.uuid = ANY (wanted) AND s.pipeline_id + 0 = ANY (locked)\n": "AND s.uuid = ANY (wanted)\n"},
        ("test_a_completion_comes_back_for_what_was_locked",),
    ),
    Mutant(
        "completion_does_not_come_back",
        "what was locked during a completion is not reported again",
        "app/services/stages.py",
        {"in map(set, answer.locked):": "in map(set, answer.locked[:0]):"},
        ("test_a_completion_comes_back_for_what_was_locked",),
    ),
)
ANSWERS = (
    Mutant(
        "unknown_is_not_stale",
        "a completion for a stage that does not exist is taken for granted",
        COMPLETION,
        {"WHERE s.uuid IS NULL OR (s.pipeline_id": "WHERE (s.pipeline_id"},
        ("test_a_stage_that_nobody_knows_is_stale",),
    ),
    Mutant(
        "any_outcome_will_do",
        "a second, different outcome is taken for a repeated one",
        COMPLETION,
        {"AND a.outcome IS DISTINCT FROM c.outcome)": "AND a.outcome IS NULL)"},
        ("test_a_worker_that_was_given_up_comes_too_late",),
    ),
    Mutant(
        "anybody_may_repeat",
        "an outcome counts as repeated whoever says it",
        COMPLETION,
        {"AND a.attempt = c.attempt AND a.lease_token = c.lease_token) END;": "AND a.attempt = c.attempt) END;"},
        ("test_a_token_of_nobody_is_stale_after_the_end_too",),
    ),
    Mutant(
        "locked_is_stale",
        "a completion that was left out counts as refused",
        COMPLETION,
        {"OR (s.pipeline_id = ANY (locked) AND a.outcome": "OR (a.outcome"},
        ("test_a_batch_gives_up_on_a_stuck_client_and_says_so",),
    ),
    Mutant(
        "stale_in_good_company",
        "a refused completion is not named if another of its batch was taken",
        COMPLETION,
        {"stale := CASE WHEN are_all THEN": "stale := CASE WHEN news IS NOT NULL THEN"},
        ("test_a_stale_one_does_not_spoil_its_batch",),
    ),
    Mutant(
        "locked_in_good_company",
        "a completion that was left out is not named if another of its batch was taken",
        COMPLETION,
        {"locked_out := CASE WHEN are_all THEN": "locked_out := CASE WHEN news IS NOT NULL THEN"},
        ("test_a_completion_comes_back_for_what_was_locked",),
    ),
    Mutant(
        "outcome_not_recorded",
        "the attempt stays open when its stage ends",
        COMPLETION,
        {"AND a.position = e.position AND a.attempt = e.attempt\n": "AND a.position = e.position AND a.attempt = 0\n"},
        ("test_a_completed_stage_keeps_its_result_and_gives_up_its_lease",),
    ),
    Mutant(
        "bad_result_spoils_its_batch",
        "a result that cannot be stored is not looked for by halves",
        "app/services/stages.py",
        {"        if len(completions) == 1:\n": "        if len(completions) > 0:\n"},
        ("test_a_result_that_cannot_be_stored_fails_its_stage_alone",),
    ),
    Mutant(
        "bad_result_is_tried_again",
        "a result that cannot be stored is retried",
        "app/services/stages.py",
        {'"result_invalid", "message": message},': '"result_invalid", "message": message}, retry_delay_s=0,'},
        ("test_a_result_that_cannot_be_stored_fails_its_stage_alone",),
    ),
)
FAILURES = (
    Mutant(
        "failures_forgotten",
        "an attempt that failed is not among the failures",
        COMPLETION,
        {"WHERE outcome IN ('failed', 'timed_out', 'lost')\n    )": "WHERE outcome = 'timed_out'\n    )"},
        ("test_each_attempt_that_failed_is_a_failure_and_no_other",),
    ),
    Mutant(
        "every_end_is_a_failure",
        "what was stopped on request counts as a failure",
        COMPLETION,
        {"WHERE outcome IN ('failed', 'timed_out', 'lost')\n    )": "WHERE outcome <> 'completed'\n    )"},
        ("test_each_attempt_that_failed_is_a_failure_and_no_other",),
    ),
    Mutant(
        "diagnosis_outlives_its_failure",
        "a stage that completed keeps the diagnosis of an earlier attempt",
        COMPLETION,
        {
            "diagnosis = CASE WHEN d.status <> 'completed' THEN d.diagnosis END": (
                "diagnosis = coalesce(d.diagnosis, s.diagnosis)"
            )
        },
        ("test_a_stage_that_completes_in_the_end_has_no_diagnosis",),
    ),
)
DECISIONS = (
    Mutant(
        "cancel_throws_work_away",
        "what completed while it was being cancelled is cancelled",
        COMPLETION,
        {
            "CASE WHEN c.outcome = 'completed' THEN 'completed'\n"
            "                         WHEN p.status = 'cancelling' OR s.cancel_asked THEN 'cancelled'\n": (
                "CASE WHEN p.status = 'cancelling' OR s.cancel_asked THEN 'cancelled'\n"
                "                         WHEN c.outcome = 'completed' THEN 'completed'\n"
            )
        },
        ("test_what_completes_while_its_pipeline_is_being_cancelled_stays_completed",),
    ),
    Mutant(
        "cancelled_attempts_go_on",
        "an attempt of a cancelled pipeline is retried",
        COMPLETION,
        {"WHEN p.status = 'cancelling' OR s.cancel_asked": "WHEN s.cancel_asked"},
        ("test_what_ends_otherwise_then_is_cancelled_and_never_retried",),
    ),
    Mutant(
        "single_cancel_goes_on",
        "an attempt of a stage that was cancelled singly is retried",
        COMPLETION,
        {"'cancelling' OR s.cancel_asked THEN 'cancelled'": "'cancelling' THEN 'cancelled'"},
        ("test_a_stage_that_was_cancelled_singly_is_not_retried",),
    ),
    Mutant(
        "completion_in_one_statement",
        "a completion believes the pipeline's status from before it had the lock",
        COMPLETION,
        {
            COMPLETION_LOCKS: (
                "    seen text := set_config('seen.cancelling', (SELECT coalesce(array_agg(id), '{}')::text\n"
                "                                 FROM pipelines WHERE status = 'cancelling'), true);\n"
                f"{COMPLETION_LOCKS}"
            ),
            "WHEN p.status = 'cancelling' OR s.cancel_asked": (
                "WHEN p.id = ANY (current_setting('seen.cancelling')::bigint[]) OR s.cancel_asked"
            ),
        },
        ("test_an_attempt_that_failed_while_its_pipeline_was_being_cancelled_is_not_retried",),
    ),
    Mutant(
        "drain_ends_its_stage",
        "a stage whose worker drains is cancelled",
        COMPLETION,
        {
            "WHEN c.retry_delay_s IS NOT NULL THEN 'retrying'\n"
            "                         WHEN c.outcome = 'cancelled' THEN 'cancelled'\n": (
                "WHEN c.outcome = 'cancelled' THEN 'cancelled'\n"
                "                         WHEN c.retry_delay_s IS NOT NULL THEN 'retrying'\n"
            )
        },
        ("test_an_attempt_costs_what_its_end_deserves",),
    ),
    Mutant(
        "every_end_costs_a_retry",
        "a lost worker and a drain are charged to the retry budget",
        COMPLETION,
        {"(d.costs_retry AND d.outcome IN ('failed', 'timed_out'))::integer": "(d.outcome <> 'completed')::integer"},
        ("test_an_attempt_costs_what_its_end_deserves",),
    ),
    Mutant(
        "timeouts_cost_nothing",
        "an attempt that timed out is not charged to the retry budget",
        COMPLETION,
        {"d.outcome IN ('failed', 'timed_out'))::integer": "d.outcome = 'failed')::integer"},
        ("test_an_attempt_costs_what_its_end_deserves",),
    ),
    Mutant(
        "losses_not_counted",
        "a lost worker is not counted",
        COMPLETION,
        {"CASE WHEN d.outcome = 'lost' THEN s.losses + 1 WHEN": "CASE WHEN"},
        ("test_losses_are_counted_in_a_row",),
    ),
    Mutant(
        "losses_never_reset",
        "losses add up although an attempt has ended by itself in between",
        COMPLETION,
        {"WHEN d.costs_retry THEN 0 ELSE s.losses END": "ELSE s.losses END"},
        ("test_losses_are_counted_in_a_row",),
    ),
    Mutant(
        "retry_without_delay",
        "a retry is due at once",
        COMPLETION,
        {"THEN moment + d.retry_delay_s * interval '1 second' END": "THEN moment END"},
        ("test_a_stage_with_a_retry_left_waits_for_it",),
    ),
    Mutant(
        "retry_beyond_the_total_timeout",
        "a stage that waits for its next attempt has all the time in the world",
        COMPLETION,
        {"give_up_at = CASE WHEN d.status = 'retrying' THEN s.expires_at END": "give_up_at = NULL"},
        ("test_a_stage_that_would_be_retried_after_its_total_timeout_fails_at_that_time",),
    ),
    Mutant(
        "dependents_never_told",
        "an ended stage counts as told to its dependents",
        COMPLETION,
        {" AND (s.dependents = 0 OR followed_up)\n": "\n"},
        ("test_only_a_stage_with_dependents_has_news_for_the_releaser",),
    ),
    Mutant(
        "last_stages_are_told",
        "a stage without dependents is left to the releaser",
        COMPLETION,
        {" AND (s.dependents = 0 OR followed_up)\n": " AND followed_up\n"},
        ("test_only_a_stage_with_dependents_has_news_for_the_releaser",),
    ),
    Mutant(
        "completion_without_news",
        "a completion does not say that there may be something to release",
        COMPLETION,
        {"completed(completions, wanted, locked, news, true)": "completed(completions, wanted, locked, news, false)"},
        ("test_a_completed_stage_keeps_its_result_and_gives_up_its_lease",),
    ),
)
ALL = FENCES + ANSWERS + FAILURES + DECISIONS
