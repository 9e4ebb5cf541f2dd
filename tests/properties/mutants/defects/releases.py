"""Defects of the second act: release, skip, queue again, settle."""

from tests.properties.mutants.mutant import PROTOCOL, Mutant

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
        {"SELECT d.pipeline_id, d.stage, count(*) AS met": "SELECT d.pipeline_id, d.stage, 1 AS met"},
        ("test_the_last_two_branches_completing_at_once_release_the_join_once",),
    ),
    Mutant(
        "failure_releases",
        "a failed dependency counts as met",
        PROTOCOL,
        {"s.status = 'completed' AS well": "true AS well"},
        ("test_what_waits_for_a_failed_stage_is_skipped",),
    ),
    Mutant(
        "release_in_one_statement",
        "a release tells of what had ended before it had the lock, and notes all that has ended",
        PROTOCOL,
        {
            "    locked bigint[] := lock_pipelines(ids, wait);\n": (
                "    seen uuid[] := ARRAY(SELECT uuid FROM stages WHERE finished_at IS NOT NULL);\n"
                "    locked bigint[] := lock_pipelines(ids, wait);\n"
            ),
            "RETURNING s.pipeline_id, s.position, s.status = 'completed' AS well": (
                "RETURNING s.pipeline_id, s.position, s.status = 'completed' AND s.uuid = ANY (seen) AS well"
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
        {"s.position = m.stage AND s.status = 'pending'": "s.position = m.stage"},
        ("test_nothing_is_released_after_a_cancel",),
    ),
    Mutant(
        "release_keeps_the_dispatch_token",
        "a release does not count that the stage was queued",
        PROTOCOL,
        {"dispatch_token = s.dispatch_token + (s.unmet = m.met)::integer": "dispatch_token = 1"},
        ("tests/services",),
        masked_by="retry, which itself queues what has nothing left to wait for: a release meets a stage only once",
    ),
    Mutant(
        "queued_not_told",
        "a release writes no event for what it queued",
        PROTOCOL,
        {"queued := queued || newly;\n        news := news || queued_news(newly);\n": "queued := queued || newly;\n"},
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
        {"moment, propagated = s.dependents = 0,": "moment, propagated = true,"},
        ("test_what_waits_for_a_failed_stage_is_skipped",),
    ),
    Mutant(
        "skip_one_level",
        "a pass skips the next level only",
        PROTOCOL,
        {"news := news || skips;": "news := news || skips;\n            EXIT;"},
        ("test_skipping_goes_to_the_end_of_a_deep_chain_in_one_pass",),
    ),
    Mutant(
        "skips_what_was_cancelled",
        "a stage that has ended is skipped",
        PROTOCOL,
        {"s.position = b.stage AND s.status = 'pending'": "s.position = b.stage"},
        ("tests/services/test_skip.py", "tests/services/test_random_rounds.py"),
    ),
    Mutant(
        "skip_not_told",
        "a skipped stage writes no event",
        PROTOCOL,
        {"news := news || skips;": "NULL;"},
        ("test_what_waits_for_a_failed_stage_is_skipped",),
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
ALL = RELEASES + SKIPS + RETRIES + ENDS
