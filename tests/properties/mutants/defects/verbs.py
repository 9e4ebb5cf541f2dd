"""Defects of what clients ask for: create, start, cancel, pause, resume, retry, delete."""

from tests.properties.mutants.mutant import DELETION, PROTOCOL, Mutant

FOUND = "WHERE uuid = target FOR NO KEY UPDATE;\n    IF NOT FOUND THEN\n        RETURN NULL;\n"
QUEUED = "s.pipeline_id = pipeline.id AND s.status = 'queued'"
UNLOCKED = FOUND.replace(" FOR NO KEY UPDATE", "")
STARTS = (
    Mutant(
        "roots_wait_for_nothing",
        "a start queues stages that wait for others",
        PROTOCOL,
        {"s.status = 'pending' AND s.unmet = 0\n": "s.status = 'pending'\n"},
        ("test_a_start_queues_what_waits_for_nothing",),
    ),
    Mutant(
        "roots_keep_the_dispatch_token",
        "a start after a retry does not count that the stage was queued",
        PROTOCOL,
        {
            "dispatch_token = s.dispatch_token + 1,\n               expires_at": (
                "dispatch_token = greatest(1, s.dispatch_token),\n               expires_at"
            )
        },
        ("test_an_old_job_starts_nothing_after_a_retry",),
    ),
    Mutant(
        "start_twice",
        "a start does not look at the pipeline's status",
        PROTOCOL,
        {"ELSIF pipeline.status <> 'pending' THEN": "ELSIF false THEN"},
        ("test_a_second_start_is_a_conflict",),
    ),
    Mutant(
        "start_without_lock",
        "a start believes the status from before it had the lock",
        PROTOCOL,
        {FOUND + "    ELSIF pipeline.status <> 'pending'": UNLOCKED + "    ELSIF pipeline.status <> 'pending'"},
        ("test_of_two_starts_at_once_one_is_a_conflict",),
    ),
    Mutant(
        "start_dispatches_nothing",
        "a start does not name what is to be dispatched",
        PROTOCOL,
        {
            "hints(ARRAY[pipeline], false), 'queued', to_dispatch(queued, moment));": (
                "hints(ARRAY[pipeline], false), 'queued', '[]'::json);"
            )
        },
        ("test_a_pipeline_may_be_submitted_and_started_in_one_go",),
    ),
)
CANCELS = (
    *(
        Mutant(
            f"cancel_forgets_{status}",
            f"a cancel leaves stages that are {status}",
            PROTOCOL,
            {"AND s.status IN ('pending', 'queued', 'retrying')": f"AND s.status IN ({others})"},
            ("test_what_waits_is_cancelled_at_once_and_what_runs_when_it_has_stopped",),
        )
        for status, others in {
            "pending": "'queued', 'retrying'",
            "queued": "'pending', 'retrying'",
            "retrying": "'pending', 'queued'",
        }.items()
    ),
    Mutant(
        "cancel_does_not_settle",
        "a cancel with nothing running leaves the end to the sweep",
        PROTOCOL,
        {"PERFORM settle_pipelines(ARRAY[pipeline.id], moment);\n    RETURN": "RETURN"},
        ("test_with_nothing_running_a_cancel_is_the_end",),
    ),
    Mutant(
        "cancel_of_what_has_ended",
        "a pipeline that has ended can be cancelled",
        PROTOCOL,
        {"    ELSIF pipeline.finished_at IS NOT NULL THEN\n": "    ELSIF false THEN\n"},
        ("test_what_has_ended_cannot_be_cancelled",),
    ),
    Mutant(
        "cancel_twice",
        "a second cancel is told a second time",
        PROTOCOL,
        {"    ELSIF pipeline.status = 'cancelling' THEN\n": "    ELSIF false THEN\n"},
        ("test_a_second_cancel_changes_nothing",),
    ),
    Mutant(
        "cancel_without_lock",
        "a cancel believes the status from before it had the lock",
        PROTOCOL,
        {FOUND + "    ELSIF pipeline.status = 'cancelling'": UNLOCKED + "    ELSIF pipeline.status = 'cancelling'"},
        ("test_two_cancels_at_once_are_one",),
    ),
    Mutant(
        "cancelled_stages_to_be_told",
        "the stages that a cancel ends are left to the releaser",
        PROTOCOL,
        {"give_up_at = NULL, propagated = true": "give_up_at = NULL"},
        ("test_with_nothing_running_a_cancel_is_the_end",),
    ),
)
PAUSES = (
    Mutant(
        "pause_of_anything",
        "a pause or resume does not look at the pipeline's status",
        PROTOCOL,
        {"ELSIF pipeline.status <> (CASE WHEN pause THEN 'running' ELSE 'paused' END) THEN": "ELSIF false THEN"},
        ("test_twice_does_not_fit",),
    ),
    Mutant(
        "pause_not_held",
        "a pause tells an event and changes nothing",
        PROTOCOL,
        {"SET status = CASE WHEN pause THEN 'paused' ELSE 'running' END": "SET status = 'running'"},
        ("test_nothing_of_a_paused_pipeline_can_be_claimed",),
    ),
    Mutant(
        "pause_without_lock",
        "a pause believes the status from before it had the lock",
        PROTOCOL,
        {FOUND + "    ELSIF pipeline.status <> (CASE": UNLOCKED + "    ELSIF pipeline.status <> (CASE"},
        ("test_two_pauses_at_once_are_one",),
    ),
    Mutant(
        "pause_dispatches",
        "a pause names what is queued for dispatch",
        PROTOCOL,
        {f"WHERE NOT pause AND {QUEUED}": f"WHERE {QUEUED}"},
        ("test_nothing_of_a_paused_pipeline_can_be_claimed",),
    ),
    Mutant(
        "resume_dispatches_nothing",
        "a resume leaves the queued stages to the sweep",
        PROTOCOL,
        {f"WHERE NOT pause AND {QUEUED}": f"WHERE false AND {QUEUED}"},
        ("test_a_resume_names_everything_that_is_queued_as_old_as_it_is",),
    ),
)
RETRIES = (
    Mutant(
        "retry_does_not_settle_first",
        "a retry is refused until somebody has settled the pipeline",
        PROTOCOL,
        {"    PERFORM settle_pipelines(ARRAY[pipeline.id], moment);\n    SELECT * INTO": "    SELECT * INTO"},
        ("test_it_settles_first_if_the_last_completion_was_not_followed_up",),
    ),
    Mutant(
        "retry_of_anything",
        "a retry does not look at the pipeline's status",
        PROTOCOL,
        {"IF pipeline.status NOT IN ('failed', 'cancelled') THEN": "IF false THEN"},
        ("test_it_fits_only_what_has_failed_or_was_cancelled",),
    ),
    Mutant(
        "retry_without_lock",
        "a retry believes the status from before it had the lock",
        PROTOCOL,
        {FOUND + "    END IF;\n    moment": UNLOCKED + "    END IF;\n    moment"},
        ("test_of_two_retries_that_meet_one_is_a_conflict",),
    ),
    Mutant(
        "retry_repeats_completed",
        "completed stages run again",
        PROTOCOL,
        {
            "AND s.status IN ('failed', 'cancelled')\n           AND s.position = coalesce": (
                "AND s.status IN ('failed', 'cancelled', 'completed')\n           AND s.position = coalesce"
            )
        },
        ("test_a_failed_pipeline_goes_on_where_it_failed",),
    ),
    Mutant(
        "retry_forgets_what_waited",
        "what was skipped because of a failure is not retried with it",
        PROTOCOL,
        {"AND d.depends_on = c.position\n    )": "AND d.depends_on = c.position AND false\n    )"},
        ("test_a_failed_pipeline_goes_on_where_it_failed",),
    ),
    Mutant(
        "retry_of_one_takes_all",
        "the retry of one stage begins all failed ones again",
        PROTOCOL,
        {"AND s.position = coalesce(only_stage, s.position)\n": "\n"},
        ("test_one_failed_stage_is_retried_and_the_others_are_left_as_they_are",),
    ),
    Mutant(
        "retry_of_one_that_is_well",
        "one stage can be retried whatever its status",
        PROTOCOL,
        {"IF stage.status NOT IN ('failed', 'cancelled') THEN": "IF false THEN"},
        ("test_only_what_failed_or_was_cancelled_can_be_retried",),
    ),
    Mutant(
        "retry_tells_nobody",
        "the kept stages do not tell those that begin again",
        PROTOCOL,
        {"UPDATE stages AS s SET propagated = s.dependents = 0": "UPDATE stages AS s SET propagated = true"},
        ("test_the_join_of_a_kept_stage_waits_for_the_others_only_whatever_it_had_been_told",),
    ),
    Mutant(
        "retry_believes_the_counter",
        "what a stage waits for is not counted anew",
        PROTOCOL,
        {"unmet = (SELECT count(*) FROM": "unmet = (SELECT s.unmet + 0 * count(*) FROM"},
        ("test_the_join_of_a_kept_stage_waits_for_the_others_only_whatever_it_had_been_told",),
    ),
    Mutant(
        "retry_releases_nothing",
        "what waits for kept stages only is left to the sweep",
        PROTOCOL,
        {
            "released := release_pipelines(ARRAY[pipeline.id], pipeline.stage_count, true);": (
                "released := '{\"queued\": []}';"
            )
        },
        ("test_a_failed_pipeline_goes_on_where_it_failed",),
    ),
    Mutant(
        "retry_dispatches_the_roots",
        "a retry does not name what its release has queued",
        PROTOCOL,
        {" || (released ->> 'queued')::jsonb)::json": ")::json"},
        ("test_a_failed_pipeline_goes_on_where_it_failed",),
    ),
    Mutant(
        "retry_grants_no_budget",
        "errors before the retry still count",
        PROTOCOL,
        {"propagated = false, failures = 0, losses = 0,": "propagated = false, losses = 0,"},
        ("test_it_grants_a_fresh_budget_and_forgets_losses",),
    ),
    Mutant(
        "retry_remembers_losses",
        "losses before the retry still count",
        PROTOCOL,
        {"propagated = false, failures = 0, losses = 0,": "propagated = false, failures = 0,"},
        ("test_it_grants_a_fresh_budget_and_forgets_losses",),
    ),
    Mutant(
        "retry_remembers_a_cancel",
        "a stage that was cancelled singly before the retry is cancelled again",
        PROTOCOL,
        {"losses = 0, cancel_asked = false,": "losses = 0,"},
        ("test_it_forgets_that_a_stage_was_cancelled_singly",),
    ),
    Mutant(
        "retry_keeps_it_broken",
        "stages that were broken before the retry still count",
        PROTOCOL,
        {"broken_stages = (SELECT count(*) FROM": "broken_stages = (SELECT p.broken_stages + 0 * count(*) FROM"},
        ("test_a_failed_pipeline_goes_on_where_it_failed",),
    ),
    Mutant(
        "retry_opens_all",
        "the kept stages count as open",
        PROTOCOL,
        {"open_stages = cardinality(chosen)": "open_stages = p.stage_count"},
        ("test_a_failed_pipeline_goes_on_where_it_failed",),
    ),
)
DELETES = (
    Mutant(
        "delete_of_what_runs",
        "a pipeline that is under way can be deleted",
        DELETION,
        {"IF FOUND AND (pipeline.finished_at IS NOT NULL OR pipeline.status = 'pending') THEN": "IF FOUND THEN"},
        ("test_a_pipeline_that_is_under_way_cannot_be_deleted",),
    ),
    Mutant(
        "delete_without_lock",
        "a delete believes the status from before it had the lock",
        DELETION,
        {"WHERE uuid = target FOR UPDATE;": "WHERE uuid = target;"},
        ("test_a_pipeline_that_is_started_before_its_delete_stays",),
    ),
    Mutant(
        "delete_leaves_checkpoints",
        "the checkpoints of a deleted pipeline stay",
        DELETION,
        {"        DELETE FROM checkpoints WHERE pipeline_id = pipeline.id;\n": ""},
        ("test_a_deleted_pipeline_leaves_no_row_and_its_neighbour_all",),
    ),
    Mutant(
        "delete_leaves_attempts",
        "the attempts of a deleted pipeline stay",
        DELETION,
        {"        DELETE FROM attempts WHERE pipeline_id = pipeline.id;\n": ""},
        ("test_a_deleted_pipeline_leaves_no_row_and_its_neighbour_all",),
    ),
)
PRUNES = (
    Mutant(
        "delete_leaves_no_word",
        "nobody knows of the artifacts of a deleted pipeline any more",
        DELETION,
        {"        INSERT INTO artifacts_left (pipeline) VALUES (target) ON CONFLICT DO NOTHING;\n": ""},
        ("test_a_prune_that_dies_anywhere_is_finished_by_the_next_one",),
    ),
    Mutant(
        "prune_of_pinned",
        "a pipeline with a pinned checkpoint is pruned",
        DELETION,
        {" OR EXISTS (SELECT FROM checkpoints WHERE pipeline_id = pipeline.id AND pinned)": ""},
        ("test_one_that_was_pinned_since_it_was_chosen_stays",),
    ),
    Mutant(
        "prune_of_unlocked_checkpoints",
        "a checkpoint that is being pinned is pruned",
        DELETION,
        {"    PERFORM FROM checkpoints WHERE pipeline_id = pipeline.id ORDER BY id FOR UPDATE NOWAIT;\n": ""},
        ("test_one_whose_checkpoint_is_being_pinned_stays",),
    ),
    Mutant(
        "prune_of_what_lives_again",
        "a pipeline that was retried after it had been chosen is pruned",
        DELETION,
        {" AND finished_at < ended_before FOR UPDATE NOWAIT;": " FOR UPDATE NOWAIT;"},
        ("test_one_that_ended_again_since_it_was_chosen_stays",),
    ),
    Mutant(
        "made_anew_among_leftovers",
        "a pipeline may be made anew while the files of the deleted one under its uuid are being removed",
        DELETION,
        {"    IF EXISTS (SELECT FROM artifacts_left WHERE pipeline = NEW.uuid) THEN\n": "    IF false THEN\n"},
        ("test_none_is_made_anew_under_an_old_uuid_before_the_files_of_the_old_one_are_gone",),
    ),
)
ALL = STARTS + CANCELS + PAUSES + RETRIES + DELETES + PRUNES
