"""Defects of the second act: release, skip, queue again, settle."""

from tests.properties.mutants.mutant import PROTOCOL, Mutant

LOCKED = "    locked bigint[] := lock_pipelines(ids, wait);\n    moment timestamptz := clock_timestamp();\n"
RELEASES = (
    Mutant(
        "told_again_and_again",
        "a release does not note whom it has told",
        PROTOCOL,
        {"SET propagated = true\n              FROM": "SET propagated = false\n              FROM"},
        ("test_a_branch_counts_once_however_often_it_is_released",),
    ),
    Mutant(
        "two_counted_as_one",
        "two dependencies that end together count once",
        PROTOCOL,
        {
            "count(*) AS ended, count(*) FILTER (WHERE e.went_well) AS well": (
                "1 AS ended, (count(*) FILTER (WHERE e.went_well) > 0)::integer AS well"
            )
        },
        ("test_the_last_two_branches_completing_at_once_release_the_join_once",),
    ),
    Mutant(
        "failure_releases",
        "a failed dependency counts as met",
        PROTOCOL,
        {"is_well(s.status, s.allow_failure))::ended_stage AS stage": "true)::ended_stage AS stage"},
        ("test_what_waits_for_a_failed_stage_is_skipped",),
    ),
    Mutant(
        "release_in_one_statement",
        "a release tells of what had ended before it had the lock, and notes all that has ended",
        PROTOCOL,
        {
            f"{LOCKED}    ended": (
                "    seen bigint[] := ARRAY(SELECT pipeline_id FROM stages WHERE finished_at IS NOT NULL);\n"
                f"{LOCKED}    ended"
            ),
            "SELECT array_agg(stage) INTO ended FROM untold;": (
                "SELECT array_agg(stage) FILTER (WHERE (stage).pipeline_id = ANY (seen)) INTO ended FROM untold;"
            ),
        },
        ("test_a_release_that_waited_for_a_completion_tells_of_it",),
    ),
    Mutant(
        "releases_what_is_locked",
        "a release acts in pipelines that somebody else has locked",
        PROTOCOL,
        {"WHERE e.pipeline_id = ANY (locked) AND e.finished_at": "WHERE e.pipeline_id = ANY (ids) AND e.finished_at"},
        ("test_a_release_comes_back_for_what_was_locked",),
    ),
    Mutant(
        "releases_what_was_cancelled",
        "a release queues stages whatever their status",
        PROTOCOL,
        {
            "s.position = t.stage AND s.status || '' = 'pending'": "s.position = t.stage",
            "s.position = d.stage AND s.status || '' = 'pending'": "s.position = d.stage",
        },
        ("test_nothing_is_released_after_a_cancel",),
    ),
    Mutant(
        "release_keeps_the_dispatch_token",
        "a release does not count that the stage was queued",
        PROTOCOL,
        {"dispatch_token = s.dispatch_token + (d.status = 'queued')::integer": "dispatch_token = 1"},
        ("test_an_old_job_starts_nothing_after_a_retry",),
    ),
    Mutant(
        "queued_not_told",
        "a release writes no event for what it queued",
        PROTOCOL,
        {"news := news || queued_news(newly) || skips;": "news := news || skips;"},
        ("test_a_chain_is_released_link_by_link",),
    ),
    Mutant(
        "released_not_dispatched",
        "a release does not name what is to be dispatched",
        PROTOCOL,
        {"queued := queued || newly;\n        news": "news"},
        ("test_what_is_to_be_dispatched_is_told",),
    ),
    Mutant(
        "rest_not_named",
        "a release that ends early does not say so",
        PROTOCOL,
        {"CASE WHEN handled >= batch THEN to_json(locked) ELSE '[]' END": "'[]'::json"},
        ("test_small_bites_come_to_the_same_end",),
    ),
    Mutant(
        "rest_forgotten",
        "what a release left over is not released in another pass",
        "app/scheduler/releaser.py",
        {".union(answer.more)": ""},
        ("test_more_than_a_pass_can_take_is_released_in_several",),
    ),
    Mutant(
        "release_does_not_come_back",
        "what was locked during a release is not tried again",
        "app/services/stages.py",
        {"    for pipeline_id in answer.locked:\n": "    for pipeline_id in answer.locked[:0]:\n"},
        ("test_a_release_comes_back_for_what_was_locked",),
    ),
    Mutant(
        "release_without_end",
        "a release holds its locks until all is done, however much there is",
        PROTOCOL,
        {"    WHILE handled < batch LOOP\n": "    WHILE true LOOP\n"},
        ("test_a_very_deep_chain_is_skipped_in_several_passes_which_keep_the_lock_for_a_moment_each",),
    ),
    Mutant(
        "dispatched_while_paused",
        "what is queued in a paused pipeline is put on Redis",
        PROTOCOL,
        {"ON p.id = q.pipeline_id AND p.status = 'running'\n": "ON p.id = q.pipeline_id\n"},
        ("test_what_runs_may_finish_and_its_dependents_wait_released",),
    ),
)
SKIPS = (
    Mutant(
        "skip_does_not_cascade",
        "the dependents of a skipped stage are not told",
        PROTOCOL,
        {"propagated = d.status = 'skipped' AND s.dependents = 0,": "propagated = d.status = 'skipped',"},
        ("test_what_waits_for_a_failed_stage_is_skipped",),
    ),
    Mutant(
        "skip_one_level",
        "a pass skips the next level only",
        PROTOCOL,
        {"EXIT WHEN skips IS NULL;": "EXIT;"},
        ("test_skipping_goes_to_the_end_of_a_deep_chain_in_one_pass",),
    ),
    Mutant(
        "skip_not_told",
        "a skipped stage writes no event",
        PROTOCOL,
        {"news := news || queued_news(newly) || skips;": "news := news || queued_news(newly);"},
        ("test_what_waits_for_a_failed_stage_is_skipped",),
    ),
)
RULES = (
    Mutant(
        "clean_up_skipped",
        "a failure skips the dependents that wait for any end, too",
        PROTOCOL,
        {"WHEN s.trigger_rule = 'all_completed' AND t.well < t.ended": "WHEN t.well < t.ended"},
        ("test_when_something_fails_both_run_and_the_pipeline_has_failed_all_the_same",),
    ),
    Mutant(
        "clean_up_counts_what_went_well",
        "a stage that waits for any end waits for a completion",
        PROTOCOL,
        {"CASE s.trigger_rule WHEN 'all_completed' THEN t.well ELSE t.ended END AS met": "t.well AS met"},
        ("test_when_something_fails_both_run_and_the_pipeline_has_failed_all_the_same",),
    ),
    Mutant(
        "alarm_always",
        "an any_failed stage runs though nothing has failed",
        PROTOCOL,
        {"AND NOT has_failed_dependency(t.pipeline_id, t.stage)\n": "AND false\n"},
        ("test_when_all_goes_well_the_clean_up_runs_and_the_alert_is_not_needed",),
    ),
    Mutant(
        "no_alarm_for_the_skipped",
        "an any_failed stage does not run for what was skipped because of a failure",
        PROTOCOL,
        {" OR (o.status = 'skipped' AND o.trigger_rule <> 'any_failed')))": "))"},
        ("test_an_alert_hears_of_what_was_skipped_because_of_a_failure",),
    ),
    Mutant(
        "alarm_for_the_needless",
        "an any_failed stage runs for another that nobody needed",
        PROTOCOL,
        {"(o.status = 'skipped' AND o.trigger_rule <> 'any_failed')": "o.status = 'skipped'"},
        ("test_an_alert_that_nobody_needed_skips_what_waits_for_it_and_alarms_no_further_one",),
    ),
    Mutant(
        "allowed_failures_skip",
        "a failure that is allowed skips its dependents",
        PROTOCOL,
        {"OR (allow_failure AND status IN ('failed', 'cancelled'))": ""},
        ("test_a_stage_that_is_allowed_to_go_wrong_harms_nobody",),
    ),
    Mutant(
        "allowed_failures_not_told",
        "an event does not tell that its failure was allowed",
        PROTOCOL,
        {"SELECT CASE WHEN allowed THEN": "SELECT CASE WHEN false THEN"},
        ("test_a_stage_that_is_allowed_to_go_wrong_harms_nobody",),
    ),
    Mutant(
        "allowed_failures_blamed",
        "a pipeline names a failure that was allowed as its error",
        PROTOCOL,
        {
            "s.status IN ('failed', 'cancelled') AND NOT s.allow_failure\n                    ORDER": (
                "s.status IN ('failed', 'cancelled')\n                    ORDER"
            )
        },
        ("test_a_failure_that_was_allowed_is_not_the_pipelines_error",),
    ),
)
RETRIES = (
    Mutant(
        "retry_at_once",
        "a release queues retries that are not due",
        PROTOCOL,
        {"AND s.status = 'retrying' AND s.retry_at <= moment\n": "AND s.status = 'retrying'\n"},
        ("test_a_stage_waits_for_its_retry_until_it_is_due",),
    ),
    Mutant(
        "retry_keeps_the_dispatch_token",
        "a stage that is queued again may be claimed by its old jobs",
        PROTOCOL,
        {"retry_at = NULL, dispatch_token = s.dispatch_token + 1": "retry_at = NULL"},
        ("test_a_retry_that_is_due_is_queued_under_a_new_dispatch_token",),
    ),
    Mutant(
        "retry_not_told",
        "a retry that is queued writes no event",
        PROTOCOL,
        {"queued := queued || newly;\n    news := news || queued_news(newly);\n": "queued := queued || newly;\n"},
        ("test_a_retry_that_is_due_is_queued_under_a_new_dispatch_token",),
    ),
    Mutant(
        "retries_never_due",
        "a release queues no retries",
        PROTOCOL,
        {"WHERE s.pipeline_id = ANY (locked) AND s.status = 'retrying'": "WHERE false AND s.status = 'retrying'"},
        ("test_a_retry_that_is_due_is_queued_under_a_new_dispatch_token",),
    ),
)
SETTLES = "AND p.open_stages = 0 AND p.status IN ('running', 'paused', 'cancelling')\n"
ENDS = (
    Mutant(
        "release_does_not_settle",
        "the second act leaves out the end of the pipeline",
        PROTOCOL,
        {"settled := settle_pipelines(locked, moment);": "settled := '{}';"},
        ("test_a_pipeline_completes_with_its_last_stage",),
    ),
    Mutant(
        "settle_ignores_what_is_open",
        "a pipeline settles while stages of it are open",
        PROTOCOL,
        {SETTLES: SETTLES.replace("AND p.open_stages = 0 ", "")},
        ("test_a_pipeline_completes_with_its_last_stage",),
    ),
    Mutant(
        "settle_not_while_paused",
        "a paused pipeline does not settle",
        PROTOCOL,
        {SETTLES: SETTLES.replace("'paused', ", "")},
        ("test_a_paused_pipeline_settles_when_its_last_stage_ends",),
    ),
    Mutant(
        "settle_not_while_cancelling",
        "a cancelled pipeline does not settle",
        PROTOCOL,
        {SETTLES: SETTLES.replace(", 'cancelling'", "")},
        ("test_with_nothing_running_a_cancel_is_the_end",),
    ),
    Mutant(
        "settle_again",
        "a pipeline that has ended settles again",
        PROTOCOL,
        {SETTLES: "AND p.open_stages = 0\n"},
        ("test_a_settled_pipeline_stays_as_it_is",),
    ),
    Mutant(
        "settle_forgets_failures",
        "a pipeline with a failed stage completes",
        PROTOCOL,
        {"WHEN p.broken_stages > 0 THEN 'failed' ELSE 'completed' END": "ELSE 'completed' END"},
        ("test_it_fails_if_a_stage_failed_or_was_cancelled_singly",),
    ),
    Mutant(
        "cancelled_ends_as_failed",
        "a cancelled pipeline ends as its stages did",
        PROTOCOL,
        {"CASE WHEN p.status = 'cancelling' THEN 'cancelled'\n                             WHEN": "CASE WHEN"},
        ("test_a_cancelled_pipeline_ends_as_cancelled_however_its_stages_end",),
    ),
    Mutant(
        "settle_not_told",
        "a release does not say that a pipeline has ended",
        PROTOCOL,
        {"hints(settled || ARRAY(": "hints(ARRAY("},
        ("test_a_lost_settlement_costs_one_sweep",),
    ),
)
ALL = RELEASES + SKIPS + RULES + RETRIES + ENDS
