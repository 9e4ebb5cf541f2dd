"""Schedules: stored, changed, listed, fired."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from app.db.pool import Connection, unless_taken
from app.db.queries import load
from schemas.schedule import DueSchedule, Schedule, ScheduleSpec, ScheduleSummary
from schemas.stage import Transition

SQL = load("schedules")
_GET, _PAGE = (SQL[name].replace("{summary}", SQL["summary"].partition("\n")[2]) for name in ("get", "page"))


class Found(Struct, frozen=True):
    """A schedule as it was read: whoever changes it names the revision."""

    id: int
    revision: int
    schedule: Schedule


class Fired(Transition, frozen=True, kw_only=True):
    """What came of firing; ``stale`` if nothing, because somebody was faster or has changed the schedule."""

    stale: bool = False


async def create(c: Connection, project: str, spec: ScheduleSpec, next_run_at: datetime | None) -> None:
    """Store a schedule. Raises Taken when there is one of that name."""
    with unless_taken():
        await c.execute(SQL["create"], project, msgspec.json.encode(spec).decode(), next_run_at)


async def change(
    c: Connection, found: Found, spec: ScheduleSpec, next_run_at: datetime | None, *, keep_next: bool
) -> bool:
    """Make a schedule what ``spec`` says; False if somebody has changed it since it was read, or deleted it."""
    encoded = msgspec.json.encode(spec).decode()
    return bool(await c.fetchval(SQL["change"], found.id, found.revision, encoded, next_run_at, keep_next))


async def delete(c: Connection, schedule: int) -> bool:
    """Delete a schedule by its number; False if it is gone."""
    return bool(await c.fetchval(SQL["delete"], schedule))


async def now(c: Connection) -> datetime:
    """The time."""
    moment: datetime = await c.fetchval(SQL["now"])
    return moment


async def get(c: Connection, project: str, name: str) -> Found | None:
    """Everything about a schedule; None if there is none of that name."""
    row = await c.fetchrow(_GET, project, name)
    return None if row is None else Found(row["id"], row["revision"], msgspec.json.decode(row["item"], type=Schedule))


async def page(c: Connection, project: str, after: str, limit: int) -> list[ScheduleSummary]:
    """At most ``limit`` schedules behind a name, by name."""
    return msgspec.json.decode(await c.fetchval(_PAGE, project, after, limit), type=list[ScheduleSummary])


async def due(c: Connection, limit: int) -> list[DueSchedule]:
    """Schedules that have something to do, the longest due first."""
    return msgspec.json.decode(await c.fetchval(SQL["due"], limit), type=list[DueSchedule])


async def in_the_way(c: Connection, limit: int) -> list[UUID]:
    """Pipelines that a later slot wants cancelled."""
    return [row["pipeline"] for row in await c.fetch(SQL["in_the_way"], limit)]


async def fire(
    c: Connection,
    due: DueSchedule,
    wanted: Sequence[Mapping[str, Any]],
    missed: tuple[Sequence[datetime], int],
    following: datetime | None,
) -> Fired:
    """Decide slots and move on to the ``following``; of ``missed`` some are recorded, and all are counted."""
    encoded = msgspec.json.encode(wanted).decode()
    answer = await c.fetchval(SQL["fire"], due.id, due.revision, due.slot, encoded, *missed, following)
    return msgspec.json.decode(answer, type=Fired)


async def fire_waiting(c: Connection, due: DueSchedule, made: Mapping[str, Any]) -> Fired:
    """Run the slot that waits."""
    answer = await c.fetchval(SQL["fire_waiting"], due.id, due.revision, due.slot, msgspec.json.encode(made).decode())
    return msgspec.json.decode(answer, type=Fired)


async def prune(c: Connection, kept_s: float, batch: int) -> int:
    """Forget a batch of old slots; return how many."""
    pruned: int = await c.fetchval(SQL["prune"], kept_s, batch)
    return pruned
