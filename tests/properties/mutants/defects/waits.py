"""Defects of the limits on waiting: stages that are given up too early, too late, or for a time that does not count."""

from tests.properties.mutants.mutant import COMPLETION, PROTOCOL, Mutant

ALL = (
    Mutant(
        "given_up_at_once",
        "a stage with a limit is failed before it has waited for so long",
        COMPLETION,
        {"AND s.give_up_at <= moment AND s.queue": "AND s.give_up_at IS NOT NULL AND s.queue"},
        ("test_each_wait_in_the_queue_has_its_own_timeout_and_all_of_them_share_the_total_one",),
    ),
    Mutant(
        "never_given_up",
        "a stage that has waited too long goes on waiting",
        COMPLETION,
        {"AND s.give_up_at <= moment AND s.queue": "AND false AND s.queue"},
        ("test_one_that_is_queued_for_too_long_fails_and_skips_its_dependents",),
    ),
    Mutant(
        "given_up_while_paused",
        "a stage of a paused pipeline is failed for its wait",
        COMPLETION,
        {"WHERE p.id = s.pipeline_id AND p.status = 'running')\n": "WHERE p.id = s.pipeline_id)\n"},
        ("test_while_its_pipeline_is_paused_the_clock_stands_still",),
    ),
    Mutant(
        "given_up_on_a_paused_queue",
        "a stage on a paused queue is failed for its wait",
        COMPLETION,
        {
            "<= moment AND s.queue || '' <> ALL ((SELECT paused_queues())::text[])": "<= moment",
        },
        ("test_what_waits_is_not_given_up_for_the_time_of_the_pause",),
    ),
    Mutant(
        "given_up_without_telling",
        "what waits for a stage that was given up is not told",
        COMPLETION,
        {"give_up_at = NULL, propagated = s.dependents = 0,\n": "give_up_at = NULL, propagated = true,\n"},
        ("test_one_that_is_queued_for_too_long_fails_and_skips_its_dependents",),
    ),
    Mutant(
        "given_up_for_an_earlier_failure",
        "a stage that is given up while it waits keeps the diagnosis of an attempt before",
        COMPLETION,
        {"               diagnosis = NULL,\n": ""},
        ("test_one_that_is_given_up_while_it_waits_is_not_explained_by_an_attempt_before",),
    ),
    Mutant(
        "given_up_and_explained_later",
        "newer rules explain a stage that was given up while it waited by an attempt before",
        COMPLETION,
        {" AND a.error = t.error\n": "\n"},
        ("test_one_that_is_given_up_while_it_waits_is_not_explained_by_an_attempt_before",),
    ),
    Mutant(
        "pause_costs_time",
        "the time of a pause counts as waited",
        PROTOCOL,
        {"     WHERE NOT pause AND s.pipeline_id = pipeline.id AND s.give_up_at IS NOT NULL;": "     WHERE false;"},
        ("test_while_its_pipeline_is_paused_the_clock_stands_still",),
    ),
    Mutant(
        "queue_pause_costs_time",
        "the time of a pause of the queue counts as waited",
        PROTOCOL,
        {"    IF NOT pause AND since IS NOT NULL THEN\n": "    IF false THEN\n"},
        ("test_what_waits_is_not_given_up_for_the_time_of_the_pause",),
    ),
    Mutant(
        "pause_gives_too_much",
        "a stage that was queued during a pause gets back more than it has waited",
        PROTOCOL,
        {
            "(moment - greatest(coalesce(pipeline.paused_at, moment), s.queued_at))": (
                "(moment - coalesce(pipeline.paused_at, moment))"
            )
        },
        ("test_a_stage_queued_while_its_pipeline_was_paused_gets_back_what_it_has_waited",),
    ),
    Mutant(
        "queue_pause_gives_too_much",
        "a stage that was queued on a paused queue gets back more than it has waited",
        PROTOCOL,
        {"(moment - greatest(since, s.queued_at))": "(moment - since)"},
        ("test_a_stage_queued_while_its_queue_was_paused_gets_back_what_it_has_waited",),
    ),
    Mutant(
        "total_timeout_not_kept_in_the_queue",
        "a stage may wait in the queue beyond its total timeout",
        PROTOCOL,
        {
            "SELECT least(queued_at + queue_timeout_s * interval '1 second', expires_at)": (
                "SELECT queued_at + queue_timeout_s * interval '1 second'"
            )
        },
        ("test_one_that_is_queued_for_too_long_fails_and_skips_its_dependents",),
    ),
    Mutant(
        "total_timeout_begins_anew",
        "each attempt has the total timeout for itself",
        PROTOCOL,
        {
            "give_up_at = give_up_at(moment, s.queue_timeout_s, s.expires_at)": (
                "give_up_at = give_up_at(moment, s.queue_timeout_s, moment + s.total_timeout_s * interval '1 second')"
            )
        },
        ("test_each_wait_in_the_queue_has_its_own_timeout_and_all_of_them_share_the_total_one",),
    ),
)
