"""Defects of what happens by the clock: slots of schedules and of periodic tasks."""

from tests.properties.mutants.mutant import Mutant

CLOCK, PERIODIC, SCHEDULES = (
    "migrations/0005_by_the_clock.sql",
    "app/db/queries/periodic.sql",
    "app/db/queries/schedules.sql",
)
TURNS = "tests/properties/turns/slots/test_slots.py"
ALL = (
    Mutant(
        "periodic_slot_taken_again",
        "a slot of a periodic task is taken though it was taken before",
        CLOCK,
        {"t.last_slot IS NULL OR t.last_slot < slot_of(clock_timestamp(), i.interval_s)": "true"},
        ("test_a_slot_that_was_taken_is_not_taken_again_though_its_row_is_gone",),
    ),
    Mutant(
        "periodic_task_overtakes_itself",
        "a periodic task begins though its last run goes on",
        CLOCK,
        {
            "CONTINUE WHEN EXISTS (SELECT FROM periodic_runs AS r": "CONTINUE WHEN false AND EXISTS (SELECT "
            "FROM periodic_runs AS r"
        },
        ("test_a_task_does_not_overtake_itself",),
    ),
    Mutant(
        "periodic_slot_without_a_lease",
        "a worker without a lease takes slots",
        CLOCK,
        {"IF NOT holds_lease(worker, moment) THEN": "IF false THEN"},
        ("test_who_has_no_lease_takes_nothing",),
    ),
    Mutant(
        "periodic_run_is_stuck",
        "a run whose worker has died goes on for ever",
        CLOCK,
        {"AND r.outcome IS NULL AND is_lost(r, moment)": "AND false"},
        ("test_a_run_whose_worker_dies_is_lost_and_the_next_slot_runs",),
    ),
    Mutant(
        "periodic_run_comes_back",
        "a run that was given up says afterwards how it ended",
        PERIODIC,
        {"AND worker_id = $3 AND outcome IS NULL": "AND worker_id = $3"},
        ("test_a_run_whose_worker_dies_is_lost_and_the_next_slot_runs",),
    ),
    Mutant(
        "schedule_fired_as_it_was",
        "a schedule is fired as it was read, whatever has happened since",
        CLOCK,
        {"AND revision = seen_revision AND next_run_at = seen_slot FOR": "FOR"},
        ("test_a_stale_look_changes_nothing",),
    ),
    Mutant(
        "slot_decided_again",
        "a slot that has a row is fired again",
        CLOCK,
        {"CONTINUE WHEN NOT FOUND OR state <> 'fired'": "CONTINUE WHEN state <> 'fired'"},
        ("test_a_slot_that_was_decided_is_never_decided_again",),
    ),
    Mutant(
        "slot_waits_for_nothing",
        "a slot that waits runs though what it waits for has not ended",
        CLOCK,
        {"IF NOT FOUND OR cardinality(open_pipelines(target)) > 0\n": "IF NOT FOUND\n"},
        ("test_a_slot_that_waits_does_not_run_before_its_time_whoever_says_so",),
    ),
    Mutant(
        "schedule_overlaps",
        "a slot runs beside the pipeline of the one before",
        CLOCK,
        {"open := cardinality(open_pipelines(target)) > 0": "open := false"},
        ("test_skip_leaves_a_slot_out_while_the_one_before_runs",),
    ),
    Mutant(
        "buffer_without_end",
        "a schedule that buffers one slot lets others wait behind it",
        CLOCK,
        {"(schedule.overlap = 'buffer_one' AND waits) THEN 'skipped'": "false THEN 'skipped'"},
        ("test_buffer_one_waits_for_the_end_and_no_other_waits_behind_it",),
    ),
    Mutant(
        "waiting_slots_pile_up",
        "a slot that wants the others cancelled leaves the one before it waiting",
        CLOCK,
        {
            "SET state = 'skipped' WHERE s.schedule_id = target AND s.state = 'waiting';": (
                "SET state = 'skipped' WHERE false;"
            )
        },
        (TURNS,),
    ),
    Mutant(
        "waiting_slot_runs_twice",
        "a slot that waits runs again, if somebody saw it wait",
        CLOCK,
        {
            "WHERE s.schedule_id = target AND s.slot = the_slot AND s.state = 'waiting') THEN": (
                "WHERE s.schedule_id = target AND s.slot = the_slot) THEN"
            )
        },
        (TURNS,),
    ),
    Mutant(
        "waiting_slot_of_another_revision",
        "a slot that waits runs though its schedule was changed or paused since somebody looked",
        CLOCK,
        {"WHERE id = target AND revision = seen_revision AND NOT paused FOR": "WHERE id = target FOR"},
        ("test_a_slot_that_waits_does_not_run_as_somebody_saw_it_before_a_change",),
    ),
    Mutant(
        "fired_past_a_change",
        "a schedule is fired though a client has changed it since somebody looked",
        CLOCK,
        {"AND revision = seen_revision AND next_run_at = seen_slot FOR": "AND next_run_at = seen_slot FOR"},
        ("test_a_stale_look_changes_nothing",),
    ),
    Mutant(
        "change_lost",
        "of two clients that change a schedule at once, one takes back what the other has changed",
        SCHEDULES,
        {" WHERE o.id = $1 AND o.revision = $2\n": " WHERE o.id = $1 AND $2::bigint IS NOT NULL\n"},
        (TURNS,),
    ),
    Mutant(
        "ended_pipelines_in_the_way",
        "a pipeline that was deleted stays in the way of the next slot",
        CLOCK,
        {
            "AND NOT EXISTS (SELECT FROM pipelines AS p WHERE p.uuid = s.pipeline AND p.finished_at IS NULL)": (
                "AND EXISTS (SELECT FROM pipelines AS p WHERE p.uuid = s.pipeline AND p.finished_at IS NOT NULL)"
            )
        },
        (TURNS,),
    ),
    Mutant(
        "cancelled_though_it_may_run",
        "a schedule that buffers has the pipeline before cancelled",
        SCHEDULES,
        {"AND s.overlap = 'cancel_other' AND NOT s.paused": "AND NOT s.paused"},
        (TURNS,),
    ),
    Mutant(
        "unseen_end_is_pruned",
        "the slot of a pipeline that goes on is forgotten, and no longer in the way of the next one",
        SCHEDULES,
        {"AND state <> 'waiting' AND (state <> 'fired' OR ended)": "AND state <> 'waiting'"},
        (TURNS,),
    ),
    Mutant(
        "missed_and_not_counted",
        "slots that nobody was there for are not counted",
        CLOCK,
        {"missed = schedule.missed + missed_count WHERE": "missed = schedule.missed WHERE"},
        ("test_after_an_outage_the_catch_up_policy_decides",),
    ),
    Mutant(
        "periodic_run_never_expires",
        "a run that nobody tells of goes on for as long as its worker lives",
        CLOCK,
        {"AND (run.expires_at <= moment OR NOT holds_lease": "AND (NOT holds_lease"},
        ("test_a_run_that_nobody_tells_of_is_over_after_its_lease_though_its_worker_lives",),
    ),
    Mutant(
        "waiting_slot_is_pruned",
        "a slot that waits is forgotten",
        SCHEDULES,
        {"AND state <> 'waiting' AND (state <> 'fired' OR ended)": "AND (state <> 'fired' OR ended)"},
        ("test_old_slots_are_forgotten_but_not_those_that_matter",),
    ),
)
