"""Slots of a periodic task in turns: several workers take them, die, and tell how they ended, perhaps too late."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from app.db import workers
from app.db.pool import Pool, Session
from app.services import periodic
from schemas.periodic import SlotOutcome, TakenSlot
from schemas.queue import QUEUES_BY_PRIORITY
from tests.properties.interleaving.numbers import Numbers
from tests.properties.turns.stage import Stage, Step

TASK = "scan"
INTERVAL_S = 100_000_000
"""Three years, so that none begins while this runs; ``PASSES`` lets one pass."""
LEASE_S = 3600.0
EMPTY = "TRUNCATE periodic_tasks, periodic_runs, workers CASCADE"
PASSES = (
    f"UPDATE periodic_tasks SET last_slot = last_slot - interval '{INTERVAL_S} s'",
    f"UPDATE periodic_runs SET slot = slot - 1000 * interval '{INTERVAL_S} s'",  # one at a time two would be the same
    f"UPDATE periodic_runs SET slot = slot + 999 * interval '{INTERVAL_S} s'",
)
EXPIRES = "UPDATE periodic_runs SET expires_at = clock_timestamp() WHERE outcome IS NULL"
DIES = "UPDATE workers SET lease_expires_at = clock_timestamp() WHERE id = $1"
RUNS = f"""
SELECT round(extract(epoch FROM slot_of(clock_timestamp(), {INTERVAL_S}) - slot) / {INTERVAL_S})::integer AS ago,
       worker_id, outcome
  FROM periodic_runs"""
PRESENT = f"SELECT slot_of(clock_timestamp(), {INTERVAL_S})"
MISSED = "SELECT missed FROM periodic_tasks"


@dataclass
class Run:
    """A slot that somebody took, or that went by."""

    worker: UUID | None
    outcome: str | None = None
    expired: bool = False


@dataclass
class World:
    """The reference: slots are numbered, and ``now`` is the one that goes on."""

    control: Session
    stage: Stage
    present: datetime
    workers: dict[UUID, bool] = field(default_factory=dict)
    """Whether it has a lease."""
    now: int = 0
    last: int | None = None
    runs: dict[int, Run] = field(default_factory=dict)
    taken: list[tuple[int, UUID]] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)

    def held(self, lock: object) -> bool:
        """Whether an open call holds a lock."""
        return any(lock in call.locks for call in self.stage.open_calls if isinstance(call, Takes | Finishes))

    def lost(self) -> list[int]:
        """The runs of which nobody will tell any more."""
        return [
            slot
            for slot, run in self.runs.items()
            if run.outcome is None and (run.expired or not self.workers[run.worker or uuid4()])
        ]

    async def take(self, step: Step) -> None:
        """One step."""
        n, client, before = Numbers.of(step.drawn), self.stage.clients[step.client], self.stage.commits
        dies, stops = n.rarely(), n.often()
        if client.is_free:
            if call := await self._call(n):
                self.met["held_up"] += call.is_held_up()
                await self.stage.begin(client, call, stops=stops)
        elif dies:
            self.met["died"] += 1
            await self.stage.die(client)
        elif client.at:
            await self.stage.go_on(client)
        if self.stage.commits > before:
            await self.hold()

    async def _call(self, n: Numbers) -> "Takes | Finishes | None":
        worker = n.one_of([*self.workers])
        match n.one_of(["take", "take", "take", "finish", "finish", "passes", "passes", "dies", "lives", "expires"]):
            case "take":
                return Takes(self, worker)
            case "finish":
                return Finishes(self, *n.one_of(self.taken[-3:])) if self.taken else None
            case what if not self.stage.underway:
                await self._happens(what, worker)
        return None

    async def _happens(self, what: str, worker: UUID) -> None:
        """What nobody does, when nobody holds a lock."""
        match what:
            case "passes":
                self.now += 1
                for statement in PASSES:
                    await self.control.execute(statement)
            case "dies":
                self.workers[worker] = False
                await self.control.execute(DIES, worker)
            case "lives":
                self.workers[worker] = True
                await workers.beat(self.control, worker, LEASE_S, [])
            case "expires":
                await self.control.execute(EXPIRES)
                for run in self.runs.values():
                    run.expired |= run.outcome is None
        self.met[what] += 1

    async def drain(self) -> None:
        """Everybody comes to an end; then the next slot is taken by whoever has a lease."""
        await self.stage.rest()
        await self.hold()
        worker, client = next(iter(self.workers)), self.stage.clients[0]
        for what in ("lives", "expires", "passes"):
            await self._happens(what, worker)
        await self.stage.begin(client, Takes(self, worker), stops=False)
        await self.hold()
        assert self.last == self.now
        assert self.taken[-1] == (self.now, worker)

    async def hold(self) -> None:
        """What is committed is what the reference says, and no slot was taken twice."""
        rows = await self.control.fetch(RUNS)
        found = {self.now - row["ago"]: (row["worker_id"], row["outcome"]) for row in rows}
        assert found == {slot: (run.worker, run.outcome) for slot, run in self.runs.items()}
        missed = sum(run.outcome == "missed" for run in self.runs.values())
        assert await self.control.fetchval(MISSED) in ({missed} if self.runs else {None, 0})
        assert max(Counter(slot for slot, _ in self.taken).values(), default=1) == 1


@dataclass
class Takes:
    """A worker takes the slot that goes on, if it is to be had."""

    world: World
    worker: UUID
    locks: set[object] = field(default_factory=set, init=False)
    has_waited: bool = field(default=False, init=False)

    def __str__(self) -> str:
        return f"take by {self.worker}"

    async def act(self, pool: Pool) -> list[TakenSlot]:
        return await periodic.take(pool, self.worker, {TASK: (INTERVAL_S, LEASE_S)})

    def _looks(self) -> bool:
        """Whether it gets as far as the task: it has a lease, the slot is new, and nobody else is at it."""
        world = self.world
        is_new = world.last is None or world.last < world.now
        return world.workers[self.worker] and is_new and not world.held("task")

    def is_held_up(self) -> bool:
        if self.world.held("row"):  # who would make the row of the task waits for whoever has changed it
            return self.world.workers[self.worker]
        return self._looks() and any(self.world.held(slot) for slot in self.world.lost())

    def foresee(self) -> None:
        world = self.world
        looks, self.gone, self.takes = self._looks(), [], False
        if looks:
            self.gone = world.lost()
            self.takes = all(run.outcome is not None or slot in self.gone for slot, run in world.runs.items())
            self.locks = {"task", *self.gone, *(["row"] if self.takes else [])}

    def take_effect(self, answer: list[TakenSlot]) -> None:
        world = self.world
        assert len(answer) == self.takes, f"{self} heard {answer}"
        for slot in self.gone:
            world.runs[slot].outcome = "lost"
        world.met["lost"] += bool(self.gone)
        world.met["took" if self.takes else "had nothing to take"] += 1
        if self.takes:
            first = world.now if world.last is None else world.last + 1
            world.runs |= {slot: Run(None, "missed") for slot in range(first, world.now)}
            world.met["missed"] += first < world.now
            world.runs[world.now] = Run(self.worker)
            world.taken.append((world.now, self.worker))
            world.last = world.now


@dataclass
class Finishes:
    """A worker tells how a slot that it took has ended, perhaps for the second time."""

    world: World
    slot: int
    worker: UUID
    locks: set[object] = field(default_factory=set, init=False)
    has_waited: bool = field(default=False, init=False)

    def __str__(self) -> str:
        return f"finish of {self.slot} by {self.worker}"

    async def act(self, pool: Pool) -> None:
        ago = timedelta(seconds=(self.world.now - self.slot) * INTERVAL_S)
        taken = TakenSlot(TASK, self.world.present - ago)
        await periodic.finish(pool, self.worker, taken, SlotOutcome.COMPLETED)

    def _is_open(self) -> bool:
        return self.world.runs[self.slot].outcome is None

    def is_held_up(self) -> bool:
        return self._is_open() and self.world.held(self.slot)

    def foresee(self) -> None:
        self.ends = self._is_open()
        self.locks = {self.slot} if self.ends or self.has_waited else set()

    def take_effect(self, _answer: None) -> None:
        self.world.met["finished" if self.ends else "told too late"] += 1
        if self.ends:
            self.world.runs[self.slot].outcome = "completed"


async def fresh(stage: Stage, _number: int) -> World:
    """A world with two workers."""
    control = stage.control
    await control.execute(EMPTY)
    world = World(control, stage, await control.fetchval(PRESENT))
    for number in range(2):
        world.workers[worker := uuid4()] = True
        about = {"name": f"w{number}", "version": "1", "queues": QUEUES_BY_PRIORITY, "tasks": [], "slots": (1, 1)}
        await workers.register(control, worker, lease_timeout_s=LEASE_S, **about)
    return world
