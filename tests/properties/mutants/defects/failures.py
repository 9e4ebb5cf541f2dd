"""Defects of why attempts failed, and of templates."""

from tests.properties.mutants.mutant import COMPLETION, Mutant

SCAN, CLOCK, TEMPLATES = "app/services/diagnosis.py", "migrations/0005_by_the_clock.sql", "app/db/queries/templates.sql"
ALL = (
    Mutant(
        "failure_not_recorded",
        "the attempt of a lost worker is no failure",
        COMPLETION,
        {"\n         WHERE outcome IN ('failed', 'timed_out', 'lost')": " WHERE outcome IN ('failed', 'timed_out')"},
        (
            "test_each_attempt_that_failed_is_a_failure_and_no_other",
            "test_a_lost_worker_is_diagnosed_by_whoever_notices",
        ),
    ),
    Mutant(
        "diagnosis_of_the_past",
        "a stage shows what a scan says of an earlier attempt",
        COMPLETION,
        {"                                                     AND t.attempt = r.attempt\n": ""},
        ("test_a_stage_that_failed_again_shows_why_it_did_so_and_not_what_a_scan_says_of_the_attempt_before",),
    ),
    Mutant(
        "older_rules_win",
        "a diagnosis is replaced by that of older rules",
        COMPLETION,
        {"WHERE f.rule_version < (n.diagnosis ->> 'rule_version')::integer": "WHERE true"},
        ("test_a_diagnosis_is_replaced_by_newer_rules_only",),
    ),
    Mutant(
        "one_unreadable_failure",
        "a failure that cannot be read again holds up all others",
        SCAN,
        {"    except Exception:  # such as": "    except ZeroDivisionError:  # such as"},
        ("test_a_failure_that_cannot_be_read_again_is_unknown_and_holds_up_no_other",),
    ),
    Mutant(
        "version_for_nothing",
        "a template that is stored again as it is becomes another version",
        CLOCK,
        {"    IF newest.description = spec ->> 'description' AND": "    IF false AND"},
        ("test_each_change_is_a_new_version_and_nothing_new_is_none",),
    ),
    Mutant(
        "versions_race",
        "two who store a template at once get the same version, and one of them an error",
        CLOCK,
        {"PERFORM pg_advisory_xact_lock(hashtextextended('template '": "PERFORM (hashtextextended('template '"},
        ("test_of_two_who_store_a_template_at_once_each_gets_a_version",),
    ),
    Mutant(
        "version_not_asked_for",
        "whoever names a version of a template gets the newest",
        TEMPLATES,
        {"AND ($3::integer IS NULL OR version = $3)": "AND ($3::integer IS NULL OR true)"},
        ("test_each_slot_takes_the_newest_version_of_the_template_unless_one_is_named",),
    ),
)
