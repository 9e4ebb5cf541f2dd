"""Cron lines in a time zone: when the next slot is, also where clocks are changed.

The rules are cronsim's, which are Debian's cron's. A line whose minute and hour are both fixed (neither begins with
``*``) means the time on the wall: one that does not exist fires at the first minute after the gap, one that occurs
twice fires the first time. Any other line means elapsed time: it fires in both passes of a repeated hour, and what
falls into a gap does not fire.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from app.core.wording import quoted
from schemas.problem import Fault

FIELDS = 5


def cron_faults(cron: str, timezone: str) -> list[Fault]:
    """What is wrong with the two."""
    faults = []
    try:
        CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
        told = "" if len(cron.split()) == FIELDS else "wrong number of fields"
    except CronSimError as error:
        told = str(error).lower()
    if told:
        detail = f"{quoted(cron)} is no cron line: {told}; write minute, hour, day of month, month, day of week"
        faults.append(Fault("cron_invalid", detail, "/cron"))
    if _zone(timezone) is None:
        detail = f"there is no time zone {quoted(timezone)}; write one such as Europe/Berlin or UTC"
        faults.append(Fault("timezone_invalid", detail, "/timezone"))
    return faults


def slots(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Every slot behind a moment, in UTC, each later than the one before; none for a line that never fires.

    Raises ValueError for what ``cron_faults`` complains of.
    """
    zone = _zone(timezone)
    if zone is None:
        raise ValueError(f"there is no time zone {quoted(timezone)}")
    last = after
    try:
        for moment in CronSim(cron, after.astimezone(zone)):
            slot = moment.astimezone(UTC)
            if slot > last:  # a gap maps several to one minute, and the second pass of an hour looks back to the first
                last = slot
                yield slot
    except CronSimError as error:
        raise ValueError(str(error)) from None


def next_slot(cron: str, timezone: str, after: datetime) -> datetime | None:
    """The first slot behind a moment, or None if there never is one."""
    return next(slots(cron, timezone, after), None)


def due_slots(cron: str, timezone: str, first: datetime, now: datetime, limit: int) -> list[datetime]:
    """The slots from ``first``, which is one, up to now; the oldest ``limit`` of them."""
    due = [first]
    for slot in islice(slots(cron, timezone, first), limit - 1):
        if slot > now:
            break
        due.append(slot)
    return due


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
