"""Defects of calls that may be repeated, and of changes to what is queued."""

from tests.properties.mutants.mutant import Mutant

PIPELINES, KEYS, ONCE = (
    "migrations/0004_pipelines.sql",
    "app/db/queries/idempotency.sql",
    "app/services/idempotency.py",
)
ALL = (
    Mutant(
        "key_waits",
        "a repeated call waits for the one in flight",
        PIPELINES,
        {"IF NOT pg_try_advisory_xact_lock(hashtextextended(owner || ' ' || client_key, 0)) THEN": "IF false THEN"},
        ("test_a_request_in_flight_is_said_to_be_so_at_once",),
    ),
    Mutant(
        "key_creates_again",
        "a known key creates another pipeline",
        PIPELINES,
        {"     WHERE k.expires_at <= clock_timestamp();\n    IF NOT FOUND": "    ;\n    IF NOT FOUND"},
        ("test_the_first_call_names_what_is_to_be_dispatched_and_a_repetition_names_nothing",),
    ),
    Mutant(
        "key_never_expires",
        "a key that has expired is not free",
        PIPELINES,
        {"     WHERE k.expires_at <= clock_timestamp();\n    IF NOT FOUND": "     WHERE false;\n    IF NOT FOUND"},
        ("test_after_24_hours_the_key_is_free_pruned_or_not",),
    ),
    Mutant(
        "key_of_all_projects",
        "a key of one project is taken in another",
        KEYS,
        {"WHERE k.project = $1 AND k.key = $2": "WHERE $1::text IS NOT NULL AND k.key = $2"},
        ("test_a_key_belongs_to_a_project",),
    ),
    Mutant(
        "key_for_any_request",
        "a key that came with another request is believed",
        ONCE,
        {"    if known.fingerprint != key.fingerprint:\n": "    if False:\n"},
        ("test_another_request_is_refused_also_when_both_got_past_the_first_look",),
    ),
    Mutant(
        "key_brings_back_the_deleted",
        "a key stands for a pipeline that is no longer there",
        ONCE,
        {"    if not known.is_there:\n": "    if False:\n"},
        ("test_what_was_deleted_is_gone_and_not_created_again",),
    ),
    Mutant(
        "pruner_waits",
        "a pruner waits for another",
        KEYS,
        {"LIMIT $1 FOR UPDATE SKIP LOCKED": "LIMIT $1 FOR UPDATE"},
        ("test_two_schedulers_do_not_wait_for_each_other",),
    ),
    Mutant(
        "priority_moves_nothing",
        "a new priority is for what is queued later",
        PIPELINES,
        {"AND (changes ->> 'priority')::smallint <> pipeline.priority));": "AND false));"},
        ("test_a_new_priority_moves_what_is_queued_to_its_new_place_at_once",),
    ),
)
