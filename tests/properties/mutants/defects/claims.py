"""Defects of the claim: who may take which stage, and what it is told."""

from tests.properties.mutants.mutant import PROTOCOL, Mutant

CLOCK = "    moment timestamptz := clock_timestamp();\n"
LOCKS = (
    "    locked bigint[] := lock_pipelines(ARRAY(\n"
    "        SELECT DISTINCT s.pipeline_id FROM stages AS s WHERE s.uuid = ANY (wanted)), wait);\n"
)
QUEUED = "AND s.status || '' = 'queued'\n           AND s.dispatch_token = dispatch_tokens["

ALL = (
    Mutant(
        "claim_of_what_is_not_queued",
        "a claim does not look at the stage's status",
        PROTOCOL,
        {QUEUED: "AND s.dispatch_token = dispatch_tokens["},
        ("test_a_stage_that_runs_cannot_be_claimed", "test_a_stage_that_has_ended_cannot_be_claimed"),
    ),
    Mutant(
        "claim_by_an_old_job",
        "a claim does not compare the dispatch token",
        PROTOCOL,
        {QUEUED: "AND s.status || '' = 'queued'\n           AND 0 < dispatch_tokens["},
        ("test_a_job_from_an_earlier_dispatch_cannot_claim",),
    ),
    Mutant(
        "claim_ignores_the_pipeline",
        "a claim does not look at the pipeline's status",
        PROTOCOL,
        {"WHERE id = ANY (locked) AND status = 'running')": "WHERE id = ANY (locked))"},
        ("test_nothing_starts_unless_its_pipeline_runs",),
    ),
    Mutant(
        "claim_from_a_paused_queue",
        "a claim does not ask whether the queue is paused",
        PROTOCOL,
        {" AND s.queue || '' <> ALL (paused)\n": "\n"},
        ("test_nothing_of_a_paused_queue_is_claimed_and_what_runs_goes_on",),
    ),
    Mutant(
        "claim_keeps_the_deadline",
        "a stage that has started may still have waited too long",
        PROTOCOL,
        {"               give_up_at = NULL,\n               lease_token": "               lease_token"},
        ("test_a_running_stage_is_not_given_up",),
    ),
    Mutant(
        "claim_in_one_statement",
        "a claim believes the pipeline's status from before it had the lock",
        PROTOCOL,
        {
            LOCKS: (
                "    seen text := set_config('seen.running', (SELECT coalesce(array_agg(id), '{}')::text\n"
                "                                FROM pipelines WHERE status = 'running'), true);\n"
                f"{LOCKS}"
            ),
            "WHERE id = ANY (locked) AND status = 'running')": (
                "WHERE id = ANY (locked) AND id = ANY (current_setting('seen.running')::bigint[]))"
            ),
        },
        ("test_a_claim_that_waited_for_a_cancel_or_a_pause_starts_nothing",),
    ),
    Mutant(
        "claim_of_what_is_locked",
        "a claim starts stages of pipelines that somebody else has locked",
        PROTOCOL,
        {"WHERE id = ANY (locked) AND status = 'running')": "WHERE status = 'running')"},
        ("test_a_claim_takes_the_others_and_names_what_is_locked",),
    ),
    Mutant(
        "claim_without_a_lease",
        "a claim does not look whether the worker's lease still holds",
        PROTOCOL,
        {"state = 'live' AND lease_expires_at > moment)": "state = 'live')"},
        ("test_a_worker_whose_lease_has_run_out_gets_nothing_even_before_anybody_noticed",),
    ),
    Mutant(
        "claim_by_who_leaves",
        "a worker that drains may still claim",
        PROTOCOL,
        {"WHERE id = worker AND state = 'live' AND lease": "WHERE id = worker AND state <> 'lost' AND lease"},
        ("test_a_worker_that_is_leaving_or_gone_gets_nothing",),
    ),
    Mutant(
        "claim_by_an_early_clock",
        "a claim compares the lease with the time before it had the lock",
        PROTOCOL,
        {f"{LOCKS}{CLOCK}": f"{CLOCK}{LOCKS}"},
        ("test_a_claim_whose_lease_ran_out_while_it_waited_gets_nothing",),
    ),
    Mutant(
        "attempts_start_over",
        "a claim does not count the attempt",
        PROTOCOL,
        {"attempt = s.attempt + 1, worker_id": "attempt = 1, worker_id"},
        ("test_attempts_count_up_by_one_whatever_they_cost",),
    ),
    Mutant(
        "claim_keeps_progress",
        "a new attempt begins with the progress of the one before",
        PROTOCOL,
        {"started_at = moment, progress = NULL,\n": "started_at = moment,\n"},
        ("test_a_new_attempt_begins_without_progress",),
    ),
    Mutant(
        "claim_answers_once",
        "a claim that is repeated is answered with what it has just started, which is nothing",
        PROTOCOL,
        {
            "'claims', granted(wanted, lease_tokens, locked),\n": (
                "'claims', CASE WHEN news IS NULL THEN '[]' ELSE granted(wanted, lease_tokens, locked) END,\n"
            )
        },
        ("test_a_claim_repeated_with_its_lease_token_gives_the_same_answer",),
    ),
    Mutant(
        "claim_granted_to_all",
        "a claim is told of attempts under another lease token",
        PROTOCOL,
        {
            "           AND s.lease_token = lease_tokens[array_position(wanted, s.uuid)]) AS g": ") AS g",
        },
        ("test_a_stage_that_runs_cannot_be_claimed",),
    ),
    Mutant(
        "claim_granted_and_left_out",
        "a claim is granted again for a pipeline that is also named as locked",
        PROTOCOL,
        {
            "AND s.status || '' = 'running' AND s.pipeline_id + 0 = ANY (locked)\n": "AND s.status || '' = 'running'\n",
        },
        ("test_a_claim_repeated_while_its_pipeline_is_busy_is_granted_once",),
    ),
    Mutant(
        "claim_answered_after_the_end",
        "the answer to a repeated claim does not ask whether the attempt still runs",
        PROTOCOL,
        {
            "AND s.status || '' = 'running' AND s.pipeline_id + 0": "AND s.pipeline_id + 0",
        },
        (
            "tests/services/test_claim.py",
            "tests/services/test_claim_refusals.py",
            "tests/services/test_random_rounds.py",
        ),
        masked_by="the lease token, which a stage has only while it runs",
    ),
    Mutant(
        "left_out_not_named",
        "a claim does not say what it left out",
        PROTOCOL,
        {"AND s.pipeline_id + 0 <> ALL (locked) GROUP BY": "AND s.pipeline_id IS NULL GROUP BY"},
        ("test_a_claim_takes_the_others_and_names_what_is_locked",),
    ),
    Mutant(
        "resumes_from_an_invalid_checkpoint",
        "an attempt takes up the work at a checkpoint that is not whole",
        PROTOCOL,
        {"AND position = stage AND state = 'complete'\n": "AND position = stage\n"},
        ("test_a_later_attempt_resumes_from_the_newest_complete_checkpoint_of_its_stage",),
    ),
    Mutant(
        "resumes_from_the_last_report",
        "an attempt takes up the work at the checkpoint that was reported last, not at the furthest",
        PROTOCOL,
        {"ORDER BY step DESC, id DESC LIMIT 1": "ORDER BY id DESC LIMIT 1"},
        ("test_a_later_attempt_resumes_from_the_newest_complete_checkpoint_of_its_stage",),
    ),
    Mutant(
        "resumes_from_its_neighbour",
        "an attempt takes up the work at a checkpoint of any stage of its pipeline",
        PROTOCOL,
        {"WHERE pipeline_id = pipeline AND position = stage AND state": "WHERE pipeline_id = pipeline AND state"},
        ("test_a_later_attempt_resumes_from_the_newest_complete_checkpoint_of_its_stage",),
    ),
    Mutant(
        "claim_does_not_come_back",
        "what was locked during a claim is not asked for again",
        "app/services/stages.py",
        {"    for of_one_pipeline in answer.locked:\n": "    for of_one_pipeline in answer.locked[:0]:\n"},
        ("test_a_claim_comes_back_for_what_was_locked",),
    ),
)
