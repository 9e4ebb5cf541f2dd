"""Defects of what is done to one stage or one queue: cancel, purge, pause."""

from tests.properties.mutants.mutant import PROTOCOL, Mutant

CANCELS = (
    Mutant(
        "stage_cancel_tells_nobody",
        "what waits for a stage that was cancelled is not told",
        PROTOCOL,
        {"= s.dependents = 0\n     WHERE s.uuid = target;": "= true\n     WHERE s.uuid = target;"},
        ("test_a_waiting_stage_is_cancelled_at_once_and_what_waits_for_it_is_skipped",),
    ),
    Mutant(
        "stage_cancel_without_news",
        "the cancel of a stage does not say that there may be something to release",
        PROTOCOL,
        {
            "RETURN json_build_object('hints', hints(ARRAY[pipeline.id], true)": (
                "RETURN json_build_object('hints', hints(ARRAY[pipeline.id], false)"
            )
        },
        ("test_a_waiting_stage_is_cancelled_at_once_and_what_waits_for_it_is_skipped",),
    ),
    Mutant(
        "stage_cancel_of_what_has_ended",
        "a stage that has ended can be cancelled",
        PROTOCOL,
        {"    IF stage.finished_at IS NOT NULL THEN\n": "    IF false THEN\n"},
        ("test_what_has_ended_or_was_not_started_cannot_be_cancelled",),
    ),
    Mutant(
        "stage_cancel_before_the_start",
        "a stage of a pipeline that was not started can be cancelled",
        PROTOCOL,
        {"    ELSIF pipeline.status = 'pending' THEN\n": "    ELSIF false THEN\n"},
        ("test_what_has_ended_or_was_not_started_cannot_be_cancelled",),
    ),
    Mutant(
        "stage_cancel_not_asked",
        "the cancel of a running stage is forgotten",
        PROTOCOL,
        {"UPDATE stages SET cancel_asked = true WHERE": "UPDATE stages SET cancel_asked = false WHERE"},
        ("test_a_running_stage_is_cancelled_by_its_worker_which_hears_of_it_at_its_next_beat",),
    ),
    Mutant(
        "stage_cancel_without_lock",
        "the cancel of a stage does not lock its pipeline",
        PROTOCOL,
        {"WHERE s.uuid = target)\n       FOR NO KEY UPDATE;": "WHERE s.uuid = target);"},
        ("test_a_cancel_of_a_stage_that_waited_for_its_claim_asks_its_worker",),
    ),
)
PURGES = (
    Mutant(
        "purge_of_any_queue",
        "a purge of one queue takes what waits on the others",
        PROTOCOL,
        {" AND s.queue = coalesce(of_queue, s.queue)\n": "\n"},
        ("test_a_purge_of_one_queue_leaves_what_waits_on_the_others_of_the_same_pipeline",),
    ),
    Mutant(
        "purge_tells_nobody",
        "what waits for a stage that was purged is not told",
        PROTOCOL,
        {
            "give_up_at = NULL, propagated = s.dependents = 0\n         WHERE s.pipeline_id = ANY (locked)": (
                "give_up_at = NULL, propagated = true\n         WHERE s.pipeline_id = ANY (locked)"
            )
        },
        ("test_a_purge_cancels_what_is_queued_and_nothing_that_runs",),
    ),
    Mutant(
        "purge_of_what_is_locked",
        "a purge takes stages of pipelines that somebody else has locked",
        PROTOCOL,
        {
            "WHERE s.pipeline_id = ANY (locked) AND s.status = 'queued' AND s.queue": (
                "WHERE s.pipeline_id = ANY (ids) AND s.status = 'queued' AND s.queue"
            )
        },
        ("test_a_purge_takes_what_it_gets_if_somebody_holds_on_to_the_rest",),
    ),
    Mutant(
        "purge_goes_on_for_ever",
        "a purge asks again and again for what somebody holds",
        "app/services/task_control.py",
        {
            "            if not answer.purged and answer.locked:\n                break": (
                "            if False:\n                break"
            )
        },
        ("test_a_purge_takes_what_it_gets_if_somebody_holds_on_to_the_rest",),
    ),
)
QUEUES = (
    Mutant(
        "queue_pause_not_held",
        "the pause of a queue changes nothing",
        PROTOCOL,
        {"CASE WHEN pause THEN coalesce(paused_at, moment) END": "NULL"},
        ("test_nothing_of_a_paused_queue_is_claimed_and_what_runs_goes_on",),
    ),
    Mutant(
        "queue_pause_begins_anew",
        "a second pause forgets since when the queue is paused",
        PROTOCOL,
        {"CASE WHEN pause THEN coalesce(paused_at, moment) END": "CASE WHEN pause THEN moment END"},
        ("test_a_second_pause_does_not_forget_since_when_it_holds",),
    ),
    Mutant(
        "queue_resume_waits",
        "the resume of a queue waits for those who start or end its stages",
        PROTOCOL,
        {"AND queue = target FOR NO KEY UPDATE SKIP LOCKED)": "AND queue = target FOR NO KEY UPDATE)"},
        ("test_a_resume_waits_for_nobody_who_ends_a_stage_of_the_queue",),
    ),
    Mutant(
        "dispatched_on_a_paused_queue",
        "what is queued on a paused queue is put on Redis",
        PROTOCOL,
        {"         WHERE q.queue <> ALL ((SELECT paused_queues())::text[])) AS d\n": ") AS d\n"},
        ("test_a_paused_queue_is_released_into_but_not_dispatched",),
    ),
    Mutant(
        "resumed_on_a_paused_queue",
        "the resume of a pipeline dispatches what lies on a paused queue",
        PROTOCOL,
        {
            "= 'queued' AND s.queue <> ALL ((SELECT paused_queues())::text[])));": "= 'queued'));",
        },
        ("test_a_pipeline_that_is_resumed_dispatches_nothing_on_a_paused_queue",),
    ),
)
ALL = CANCELS + PURGES + QUEUES
