"""Defects of what is read across pipelines: the places of events, and the statistics that are counted by them."""

from tests.properties.mutants.mutant import Mutant

PLACES, STATISTICS = "migrations/0002_places_of_events.sql", "migrations/0003_tasks.sql"
ALL = (
    Mutant(
        "settled_too_early",
        "a place counts as settled although something may still be added below it",
        PLACES,
        {
            "SELECT place_of(pg_snapshot_xmin(pg_current_snapshot()))": (
                "SELECT place_of(pg_snapshot_xmax(pg_current_snapshot()))"
            )
        },
        ("test_a_transaction_that_commits_late_is_not_passed_over",),
    ),
    Mutant(
        "places_are_transaction_ids",
        "the places of a pipeline's events may fall",
        PLACES,
        {
            "SELECT greatest(place_of(pg_current_xact_id()), place_of(pg_snapshot_xmax(pg_current_snapshot())) - 1)": (
                "SELECT place_of(pg_current_xact_id())"
            )
        },
        ("test_places_follow_the_order_of_a_pipeline_though_transaction_ids_do_not",),
    ),
    Mutant(
        "places_begin_anew",
        "after a dump was restored new events stand before the old ones",
        PLACES,
        {"    IF last >= next THEN\n": "    IF false THEN\n"},
        ("test_events_go_on_behind_those_of_a_restored_dump",),
    ),
    Mutant(
        "counted_again",
        "the statistics do not note how far they have come",
        STATISTICS,
        {"UPDATE stats_cursor SET place = stop, counted_at": "UPDATE stats_cursor SET counted_at"},
        ("test_nothing_is_counted_twice",),
    ),
    Mutant(
        "counted_before_it_is_settled",
        "the statistics pass over what is committed late",
        STATISTICS,
        {"    settled := settled_place(); --": "    settled := place_of(pg_snapshot_xmax(pg_current_snapshot())); --"},
        ("test_a_commit_that_comes_late_is_counted_when_it_comes",),
    ),
    Mutant(
        "counters_wait",
        "who comes to count while another counts waits for it",
        STATISTICS,
        {"FROM stats_cursor FOR UPDATE SKIP LOCKED;": "FROM stats_cursor FOR UPDATE;"},
        ("test_who_comes_while_another_counts_has_nothing_to_do",),
    ),
    Mutant(
        "counted_by_two",
        "two count the same ends at once",
        STATISTICS,
        {"FROM stats_cursor FOR UPDATE SKIP LOCKED;": "FROM stats_cursor;"},
        ("test_who_comes_while_another_counts_has_nothing_to_do",),
    ),
)
