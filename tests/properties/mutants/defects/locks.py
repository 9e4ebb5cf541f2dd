"""Defects of what all transitions rest on: the pipelines' locks, the events, the counters that go with them."""

from tests.properties.mutants.defects.completions import COMPLETION_LOCKS
from tests.properties.mutants.mutant import COMPLETION, PROTOCOL, Mutant

CLOCK = "    moment timestamptz := clock_timestamp();\n"
LOCKS = (
    Mutant(
        "no_lock",
        "a transition does not lock its pipelines",
        PROTOCOL,
        {
            "ORDER BY id FOR NO KEY UPDATE) AS p": "ORDER BY id) AS p",
            "ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) AS p": "ORDER BY id) AS p",
        },
        ("test_what_it_locked_stays_locked_until_the_commit",),
    ),
    Mutant(
        "no_lock_order",
        "pipelines are locked in any order",
        PROTOCOL,
        {"ORDER BY id FOR NO KEY UPDATE) AS p": "ORDER BY random() FOR NO KEY UPDATE) AS p"},
        ("test_it_locks_in_id_order_and_holds_nothing_that_comes_after_what_it_waits_for",),
    ),
    Mutant(
        "lock_too_strong",
        "a transition keeps out those who store stages",
        PROTOCOL,
        {
            "ORDER BY id FOR NO KEY UPDATE) AS p": "ORDER BY id FOR UPDATE) AS p",
            "ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) AS p": "ORDER BY id FOR UPDATE SKIP LOCKED) AS p",
        },
        ("test_those_who_store_stages_do_not_wait_for_a_transition",),
    ),
    Mutant(
        "no_skip_locked",
        "a batch waits for the pipelines that somebody else has locked",
        PROTOCOL,
        {"FOR NO KEY UPDATE SKIP LOCKED) AS p": "FOR NO KEY UPDATE) AS p"},
        ("test_of_several_pipelines_the_free_ones_are_locked",),
    ),
    Mutant(
        "no_wait_for_one",
        "a single pipeline that is locked is left out at once",
        PROTOCOL,
        {"locked IS NULL AND (wait OR cardinality(ids) = 1) THEN": "locked IS NULL AND wait THEN"},
        ("test_for_a_single_pipeline_it_waits_a_moment",),
    ),
    Mutant(
        "waits_for_several",
        "a batch waits for its pipelines if it gets none of them",
        PROTOCOL,
        {"locked IS NULL AND (wait OR cardinality(ids) = 1) THEN": "locked IS NULL THEN"},
        ("test_several_that_are_all_locked_are_not_waited_for",),
    ),
    Mutant(
        "comes_back_for_a_moment",
        "who comes back for a locked pipeline waits no longer than the first time",
        PROTOCOL,
        {"CASE WHEN wait THEN '2s' ELSE '100ms' END": "'100ms'"},
        ("test_whoever_comes_back_for_a_pipeline_waits_longer",),
    ),
    Mutant(
        "waits_for_ever",
        "who comes back for a locked pipeline waits as long as it takes",
        PROTOCOL,
        {"CASE WHEN wait THEN '2s' ELSE '100ms' END": "CASE WHEN wait THEN '1h' ELSE '100ms' END"},
        ("test_a_batch_gives_up_on_a_stuck_client_and_says_so",),
    ),
    Mutant(
        "locked_is_an_error",
        "a pipeline that stays locked fails the whole call",
        PROTOCOL,
        {"EXCEPTION WHEN lock_not_available THEN": "EXCEPTION WHEN division_by_zero THEN"},
        ("test_a_batch_gives_up_on_a_stuck_client_and_says_so",),
    ),
)

EVENTS = (
    Mutant(
        "events_asynchronous",
        "a transition may be lost in a crash after it was answered",
        PROTOCOL,
        {"PERFORM set_config('synchronous_commit', 'on', true);": "NULL;"},
        ("test_whoever_appends_events_commits_to_disk_whatever_the_session_says",),
    ),
    Mutant(
        "events_numbered_before_the_lock",
        "the last number is read before the lock is held",
        PROTOCOL,
        {
            "    IF NOT wait OR cardinality(ids) = 1 THEN\n": (
                "    PERFORM set_config('seen.seqs', (\n"
                "        SELECT json_object_agg(id, last_seq)::text FROM pipelines WHERE id = ANY (ids)), true);\n"
                "    IF NOT wait OR cardinality(ids) = 1 THEN\n"
            ),
            "p.last_seq + row_number()": (
                "coalesce((nullif(current_setting('seen.seqs', true), '')::json ->> p.id::text)::integer, p.last_seq)"
                " + row_number()"
            ),
            "     WHERE p.id = n.pipeline_id;\nEND $$;": (
                "     WHERE p.id = n.pipeline_id;\n    PERFORM set_config('seen.seqs', '', true);\nEND $$;"
            ),
        },
        ("test_events_that_waited_are_numbered_and_dated_after_those_they_waited_for",),
    ),
    Mutant(
        "events_share_a_number",
        "the events of one commit are numbered alike",
        PROTOCOL,
        {"p.last_seq + row_number() OVER (PARTITION BY e.pipeline_id ORDER BY e.place)": "p.last_seq + 1"},
        ("test_a_start_queues_what_waits_for_nothing",),
    ),
    Mutant(
        "last_seq_stays",
        "a pipeline does not know its last event",
        PROTOCOL,
        {"SET last_seq = n.last_seq, open_stages": "SET open_stages"},
        ("test_a_batch_may_end_stages_of_many_pipelines",),
    ),
    Mutant(
        "completion_told_by_an_early_clock",
        "the time of a completion is read before the lock is held",
        COMPLETION,
        {f"{COMPLETION_LOCKS}{CLOCK}": f"{CLOCK}{COMPLETION_LOCKS}"},
        ("test_events_that_waited_are_numbered_and_dated_after_those_they_waited_for",),
    ),
)

COUNTERS = (
    Mutant(
        "skips_not_counted",
        "a skipped stage stays open in the counter",
        PROTOCOL,
        {"IN ('stage.completed', 'stage.failed', 'stage.skipped',\n": "IN ('stage.completed', 'stage.failed',\n"},
        ("test_a_join_with_two_bad_branches_is_skipped_once",),
    ),
    Mutant(
        "cancels_not_counted",
        "a cancelled stage stays open in the counter",
        PROTOCOL,
        {
            "                                                   'stage.cancelled')) AS ended": (
                "                                                   'pipeline.created')) AS ended"
            )
        },
        ("test_with_nothing_running_a_cancel_is_the_end",),
    ),
    Mutant(
        "cancels_break_nothing",
        "a stage that was cancelled singly does not count as broken",
        PROTOCOL,
        {"(WHERE type IN ('stage.failed', 'stage.cancelled')\n": "(WHERE type IN ('stage.failed')\n"},
        ("test_it_fails_if_a_stage_failed_or_was_cancelled_singly",),
    ),
    Mutant(
        "failures_break_nothing",
        "a failed stage does not count as broken",
        PROTOCOL,
        {"(WHERE type IN ('stage.failed', 'stage.cancelled')\n": "(WHERE type IN ('stage.cancelled')\n"},
        ("test_it_fails_if_a_stage_failed_or_was_cancelled_singly",),
    ),
    Mutant(
        "allowed_failures_break",
        "a failure that is allowed counts as broken",
        PROTOCOL,
        {"AND data ->> 'allowed' IS NULL) AS broken": ") AS broken"},
        ("test_a_stage_that_is_allowed_to_go_wrong_harms_nobody",),
    ),
    Mutant(
        "dependents_not_counted",
        "a stage is stored as if nobody waited for it",
        "app/services/pipelines.py",
        {'"dependents": dependents[number]': '"dependents": 0'},
        ("test_its_stages_know_what_they_wait_for_and_who_waits_for_them",),
    ),
    Mutant(
        "one_dependency_forgotten",
        "a stage that waits for several is stored as if it waited for one",
        "app/services/pipelines.py",
        {'"unmet": len(stage.depends_on)': '"unmet": min(1, len(stage.depends_on))'},
        ("test_its_stages_know_what_they_wait_for_and_who_waits_for_them",),
    ),
)
ALL = LOCKS + EVENTS + COUNTERS
