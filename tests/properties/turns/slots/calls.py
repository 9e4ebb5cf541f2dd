"""What schedulers, clients and the upkeep do with a schedule, and what must come of it."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from app.db import pipelines as db_pipelines
from app.db import schedules as db
from app.db.pool import Pool, connection
from app.services import pipelines, schedules, slots
from schemas.schedule import CatchUp, DueSchedule, Overlap, ScheduleSpec, SlotState
from tests.properties.turns.slots.timetable import Look, Row, Timetable, moment
from tests.properties.turns.slots.world import World

MADE: ContextVar[list[UUID]] = ContextVar("MADE")


def uuid7() -> UUID:
    """As the real one; whoever fires hears which pipelines it makes."""
    MADE.get().append(made := pipelines.uuid7())
    return made


@dataclass
class Call:
    """Part of every call."""

    world: World
    locks: set[object] = field(default_factory=set, init=False)
    has_waited: bool = field(default=False, init=False)

    @property
    def timetable(self) -> Timetable:
        """The reference."""
        return self.world.timetable

    def __str__(self) -> str:
        return f"{type(self).__name__.lower()} {vars(self).get('what', '')}"


@dataclass
class Fires(Call):
    """A scheduler does what it saw was due, however long ago."""

    what: Look
    due: DueSchedule

    async def act(self, pool: Pool) -> Any:
        self.uuids: list[UUID] = []
        MADE.set(self.uuids)
        return await slots.fire(pool, self.due, stages_max=10)

    def is_held_up(self) -> bool:
        return self.timetable.matches(self.what) and self.world.holds("schedule")

    def foresee(self) -> None:
        self.fires = self.timetable.matches(self.what)
        self.decided = self.timetable.decide(self.what) if self.fires else {}
        self.over = self.timetable.over() if self.fires else []
        self.locks = {"schedule"} if self.fires or self.has_waited else set()

    def take_effect(self, answer: Any) -> None:
        timetable, fired = self.timetable, [h for h, state in self.decided.items() if state is SlotState.FIRED]
        stale = not self.fires or (self.what.waiting and not fired)
        assert answer.stale is stale, f"{self} heard {answer}, and not stale={stale}"
        assert len(answer.hints) == len(answer.queued) == len(fired), f"{self} heard {answer}, and not {self.decided}"
        self.world.met["stale" if stale else "fired"] += 1
        if not self.fires:
            return
        for hour in self.over:
            timetable.slots[hour].ended = True
        timetable.slots |= {hour: Row(state) for hour, state in self.decided.items()}
        uuids = dict(zip(self.what.runs, self.uuids, strict=True))
        for hour in fired:
            timetable.slots[hour].pipeline = uuids[hour]
            timetable.pipelines[uuids[hour]] = True
        if not self.what.waiting:
            timetable.following = self.what.now + 1
            timetable.missed += len(self.what.late) - len(self.what.caught_up)
        self.world.met.update(str(state) for state in self.decided.values())


@dataclass
class Changes(Call):
    """A client changes the schedule as it read it."""

    what: str
    found: db.Found

    def wanted(self) -> ScheduleSpec:
        before = schedules.spec_of(self.found.schedule)
        match self.what.split():
            case ["pause"]:
                return replace(before, paused=True)
            case ["resume"]:
                return replace(before, paused=False)
            case ["overlap", overlap]:
                return replace(before, overlap=Overlap(overlap))
            case [_, policy]:
                return replace(before, catch_up=CatchUp(policy))
        raise ValueError(self.what)

    async def act(self, pool: Pool) -> Any:
        wanted, next_slot = self.wanted(), self.world.now + 1
        self.keeps = wanted.paused == self.found.schedule.paused
        self.following = None if wanted.paused else next_slot
        async with connection(pool) as c:
            following = None if self.following is None else moment(self.following)
            return await db.change(c, self.found, wanted, following, keep_next=self.keeps)

    def _matches(self) -> bool:
        return self.timetable.is_there and self.found.revision == self.timetable.revision

    def is_held_up(self) -> bool:
        return self._matches() and self.world.holds("schedule")

    def foresee(self) -> None:
        self.changes = self._matches()
        self.locks = {"schedule"} if self.changes or self.has_waited else set()

    def take_effect(self, answer: Any) -> None:
        assert answer is self.changes, f"{self} heard {answer}"
        if not self.changes:
            self.world.met["change_too_late"] += 1
            return
        timetable, wanted = self.timetable, self.wanted()
        timetable.revision += 1
        timetable.overlap, timetable.catch_up = wanted.overlap, wanted.catch_up
        if not self.keeps:
            timetable.following = self.following
        self.world.met[f"changed {self.what.split()[0]}"] += 1


@dataclass
class Deletes(Call):
    """A client deletes the schedule."""

    what: int

    async def act(self, pool: Pool) -> Any:
        async with connection(pool) as c:
            return await db.delete(c, self.what)

    def is_held_up(self) -> bool:
        return self.timetable.is_there and self.world.holds("schedule")

    def foresee(self) -> None:
        self.deletes = self.timetable.is_there
        self.locks = {"schedule", "slots"} if self.deletes else set()

    def take_effect(self, answer: Any) -> None:
        assert answer is self.deletes
        self.timetable.is_there = False
        self.timetable.slots.clear()
        self.world.met["deleted"] += 1


@dataclass
class Asks(Call):
    """A client ends a pipeline of the schedule, begins it again, or removes it."""

    what: str
    uuid: UUID

    async def act(self, pool: Pool) -> Any:
        async with connection(pool) as c:
            await getattr(db_pipelines, self.what)(c, self.uuid)

    def is_held_up(self) -> bool:
        return self.uuid in self.timetable.pipelines and self.world.holds(self.uuid)

    def foresee(self) -> None:
        self.locks = {self.uuid}

    def take_effect(self, _answer: Any) -> None:
        if self.uuid not in self.timetable.pipelines:
            return
        self.world.met[self.what] += 1
        if self.what == "delete" and not self.timetable.pipelines[self.uuid]:
            del self.timetable.pipelines[self.uuid]
        elif self.what != "delete":
            self.timetable.pipelines[self.uuid] = self.what == "retry"


@dataclass
class Forgets(Call):
    """A worker forgets old slots, those that nobody has locked."""

    async def act(self, pool: Pool) -> Any:
        return await schedules.prune(pool, -1e9)

    def is_held_up(self) -> bool:
        return False

    def foresee(self) -> None:
        self.gone = [] if self.world.holds("slots") else self.timetable.forgettable()

    def take_effect(self, answer: Any) -> None:
        assert answer == len(self.gone), f"{answer} slots were forgotten, and not {self.gone}"
        for hour in self.gone:
            del self.timetable.slots[hour]
        self.world.met["forgotten"] += bool(self.gone)
