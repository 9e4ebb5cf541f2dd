"""Cron lines where clocks are changed, as docs/schedules.md has it; and which late slots run."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from app.core.catch_up import decide
from app.core.cron import cron_faults, due_slots, next_slot, slots
from schemas.schedule import CatchUp

BERLIN = "Europe/Berlin"
SPRING, AUTUMN = "2026-03-29", "2026-10-25"
"""Clocks go from 2:00 to 3:00, and from 3:00 back to 2:00."""


def on(day: str, cron: str, zone: str = BERLIN) -> list[str]:
    """When the line fires on a day, as the wall shows it, with the distance from UTC in hours."""
    first = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    found = []
    for slot in slots(cron, zone, first - timedelta(seconds=1)):
        local = slot.astimezone(ZoneInfo(zone))
        if local.date() > first.date():
            return found
        found.append(f"{local:%H:%M}+{local.utcoffset().seconds // 3600}")
    return found


@pytest.mark.parametrize(
    ("cron", "spring", "autumn"),
    [
        ("30 2 * * *", ["03:00+2"], ["02:30+2"]),
        ("0 2 * * *", ["03:00+2"], ["02:00+2"]),
        ("0 3 * * *", ["03:00+2"], ["03:00+1"]),
        ("30 1 * * *", ["01:30+1"], ["01:30+2"]),
        ("0,30 2,3 * * *", ["03:00+2", "03:30+2"], ["02:00+2", "02:30+2", "03:00+1", "03:30+1"]),
        ("30 1-3 * * *", ["01:30+1", "03:00+2", "03:30+2"], ["01:30+2", "02:30+2", "03:30+1"]),
        ("*/30 2 * * *", [], ["02:00+2", "02:30+2", "02:00+1", "02:30+1"]),
    ],
)
def test_where_clocks_are_changed_it_fires_as_documented(cron, spring, autumn):
    assert on(SPRING, cron) == spring
    assert on(AUTUMN, cron) == autumn


def test_an_hourly_line_fires_every_hour_that_passes():
    for day, hours in (("2026-03-28", 24), (SPRING, 23), (AUTUMN, 25)):
        assert len(on(day, "15 * * * *")) == hours
    year = list(islice(slots("0 */1 * * *", BERLIN, datetime(2026, 1, 1, tzinfo=UTC)), 8_759))
    assert {later - earlier for earlier, later in pairwise(year)} == {timedelta(hours=1)}


def test_a_daily_line_fires_once_a_day_all_year_wherever_the_schedule_is_looked_at_from():
    for zone in (BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"):
        year = list(islice(slots("30 2 * * *", zone, datetime(2026, 1, 1, 12, tzinfo=UTC)), 365))
        assert len({slot.astimezone(ZoneInfo(zone)).date() for slot in year}) == 365
        for earlier, later in pairwise(year):
            for moment in (earlier, earlier + timedelta(minutes=45), earlier + timedelta(minutes=90)):
                assert next_slot("30 2 * * *", zone, moment) == later


def test_a_line_that_never_fires_has_no_next_slot():
    assert next_slot("0 0 29 2 *", "UTC", datetime(2026, 1, 1, tzinfo=UTC)).year == 2028
    assert [fault.pointer for fault in cron_faults("0 0 30 2 *", "UTC")] == ["/cron"]


@pytest.mark.parametrize("cron", ["", "* * * *", "0 * * * * *", "61 * * * *", "@daily", "a b c d e", "0 0 30 2 *"])
def test_what_is_no_line_is_refused(cron):
    assert [(fault.code, fault.pointer) for fault in cron_faults(cron, "UTC")] == [("cron_invalid", "/cron")]


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "Europe/Berlin\0", "+01:00"])
def test_what_is_no_time_zone_is_refused(zone):
    assert [fault.pointer for fault in cron_faults("* * * * *", zone)] == ["/timezone"]


def test_due_slots_are_those_up_to_now_the_oldest_of_very_many():
    first = datetime(2026, 1, 1, tzinfo=UTC)
    now = first + timedelta(minutes=3, seconds=1)
    assert due_slots("* * * * *", "UTC", first, now, 10) == [first + timedelta(minutes=n) for n in range(4)]
    assert due_slots("* * * * *", "UTC", first, now, 2) == [first, first + timedelta(minutes=1)]


NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
ON_TIME = NOW.replace(second=0)
LATE = [ON_TIME - timedelta(hours=n) for n in (3, 2, 1)]


@pytest.mark.parametrize(
    ("policy", "due", "run"),
    [
        (CatchUp.NONE, LATE, []),
        (CatchUp.LATEST, LATE, LATE[-1:]),
        (CatchUp.ALL, LATE, LATE[-2:]),
        (CatchUp.NONE, [*LATE, ON_TIME], [ON_TIME]),
        (CatchUp.LATEST, [*LATE, ON_TIME], [ON_TIME]),
        (CatchUp.ALL, [*LATE, ON_TIME], [*LATE[-2:], ON_TIME]),
        (CatchUp.NONE, [ON_TIME], [ON_TIME]),
    ],
)
def test_the_policy_decides_which_late_slots_run(policy, due, run):
    decided = decide(due, NOW, policy, 2)
    assert decided.run == run
    assert decided.missed == [slot for slot in due if slot not in run]
