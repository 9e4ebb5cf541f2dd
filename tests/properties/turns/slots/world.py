"""The reference of a schedule beside the real one, and what clients have seen of that."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from app.db import schedules as db
from app.db.pool import Session
from schemas.schedule import CatchUp, DueSchedule, Overlap, ScheduleSpec, SlotState
from tests.properties.turns.slots.timetable import BASE, CATCH_UP_MAX, HOUR, Look, Row, Timetable, moment
from tests.properties.turns.stage import Stage

NAME = "s"
SPEC = ScheduleSpec(
    name=NAME,
    cron="0 * * * *",
    pipeline={"name": "p", "stages": [{"name": "a", "task": "noop"}]},
    catch_up=CatchUp.ALL,
    catch_up_max=CATCH_UP_MAX,
)
EMPTY = "TRUNCATE schedules, pipelines, stages, dependencies, attempts, events CASCADE"
ROWS = "SELECT slot, state, pipeline, ended FROM schedule_slots"
SCHEDULE = "SELECT revision, next_run_at, missed FROM schedules"
PIPELINES = "SELECT uuid, labels ->> 'headway.slot' AS slot, finished_at IS NULL AS open FROM pipelines"


@dataclass
class World:
    """Hours pass when a step says so, all of them long ago."""

    control: Session
    stage: Stage
    timetable: Timetable = field(default_factory=Timetable)
    now: int = 0
    looks: list[tuple[Look, DueSchedule]] = field(default_factory=list)
    found: list[db.Found] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)

    @classmethod
    async def fresh(cls, stage: Stage, overlap: Overlap) -> "World":
        """With one schedule, whose first slot is the hour 0."""
        await stage.control.execute(EMPTY)
        await db.create(stage.control, "default", replace(SPEC, overlap=overlap), BASE)
        world = cls(stage.control, stage)
        world.timetable.overlap = overlap
        await world.look()
        await world.read()
        return world

    def holds(self, lock: object) -> bool:
        """Whether an open call holds a lock."""
        return any(lock in call.locks for call in self.stage.open_calls)

    async def look(self) -> None:
        """A scheduler looks what is due; it must see just what is."""
        timetable, seen = self.timetable, await db.due(self.control, 10)
        waiting = [] if timetable.paused or timetable.in_the_way or not timetable.is_there else timetable.waiting
        due = [] if timetable.following is None or not timetable.is_there else [timetable.following]
        assert sorted((_hour(each.slot), each.waiting) for each in seen) == sorted(
            [*((hour, False) for hour in due), *((hour, True) for hour in waiting)]
        ), f"due are {seen}"
        for each in seen:
            if (hour := _hour(each.slot)) <= self.now:
                one = Look(each.revision, hour, self.now, each.catch_up, each.waiting)
                self.looks.append((one, replace(each, now=moment(self.now))))
        cancels = timetable.overlap is Overlap.CANCEL_OTHER and timetable.waiting and not timetable.paused
        assert set(await db.in_the_way(self.control, 100)) == set(timetable.in_the_way if cancels else [])

    async def read(self) -> None:
        """A client reads the schedule."""
        if found := await db.get(self.control, "default", NAME):
            self.found.append(found)

    async def hold(self) -> None:
        """What is committed is what the reference says."""
        timetable = self.timetable
        rows = {
            _hour(row["slot"]): Row(SlotState(row["state"]), row["pipeline"], row["ended"])
            for row in await self.control.fetch(ROWS)
        }
        assert rows == timetable.slots
        schedule = [tuple(row) for row in await self.control.fetch(SCHEDULE)]
        following = None if timetable.following is None else moment(timetable.following)
        assert schedule == [(timetable.revision, following, timetable.missed)] * timetable.is_there
        found = await self.control.fetch(PIPELINES)
        assert {row["uuid"]: row["open"] for row in found} == timetable.pipelines
        assert max(Counter(row["slot"] for row in found).values(), default=1) == 1, "a slot has two pipelines"


def _hour(when: datetime) -> int:
    return round((when - BASE) / HOUR)
