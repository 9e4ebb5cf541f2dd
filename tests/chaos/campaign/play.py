"""Play one round: a load, a fault, a quiet period, and the judgement."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

import asyncpg

from app.db.pool import open_pool
from tests.chaos.campaign.fault import Fault
from tests.chaos.campaign.judge import Finding, findings, slot_findings
from tests.chaos.campaign.load import Load
from tests.chaos.campaign.record import Record, records
from tests.chaos.campaign.world import Recovery, World, a_load
from tests.support import invariants
from tests.support.installation import TIMINGS

LEASE_S, SWEEP_S = float(TIMINGS["lease_timeout_s"]), float(TIMINGS["sweep_interval_s"])
RESTART_S = LEASE_S + SWEEP_S + 1
"""How long after the death of its worker a stage may take to start again."""
STILL_S = 2 * (LEASE_S + SWEEP_S) + 5
"""So long without any event, and what has not ended is stuck."""
SETTLE_MAX_S = 120.0
TAIL_S = 4.0
WARM_S = 1.5
NEWEST = "SELECT coalesce(max(id), 0) FROM pipelines"
BUSY = "SELECT coalesce(sum(last_seq), 0), count(*) FILTER (WHERE finished_at IS NULL) FROM pipelines"


@dataclass
class Round:
    """How it went."""

    name: str
    what: str
    accepted: int = 0
    stages: int = 0
    slots: int = 0
    ran_twice: int = 0
    happened: int = 0
    seconds: float = 0.0
    found: list[Finding] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)

    @property
    def counters(self) -> Counter[str]:
        """How often each thing happened that may never happen."""
        return Counter(finding.counter for finding in self.found)


async def play(world: World, faults: Sequence[Fault]) -> Round:
    """Let these faults happen at once, under load."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    name = "+".join(fault.name for fault in faults)
    played = Round(name, "; ".join(fault.what for fault in faults))
    world.recoveries, world.wrong, world.answers.bad = [], [], []
    newest = await world.installation.value(NEWEST)
    world.patience_s = 0 if len(faults) == 1 else 2 * STILL_S
    async with a_load(world, f"{name.lower()}-{world.rng.getrandbits(32):08x}", max_retries=_retries(faults)) as load:
        async with load.flowing():
            await asyncio.sleep(WARM_S)
            played.happened = sum(await asyncio.gather(*(_do(fault, world, load) for fault in faults)))
        await _heal(world)
        await load.timetable.come_round()
        await _settled(world, load)
        await _tail(world, load)
        await _judge(world, load, faults, played)
        played.found += await _disorder(world, newest)
    played.recoveries = world.recoveries
    played.seconds = loop.time() - began
    return played


def _retries(faults: Sequence[Fault]) -> int:
    return max((fault.max_retries for fault in faults), default=0)


async def _do(fault: Fault, world: World, load: Load) -> int:
    try:
        happened = await fault.deed(world, load)
    except Exception as error:  # noqa: BLE001 - the round is void, and the others go on
        happened = 0
        world.wrong.append(("void", f"{fault.name}: {type(error).__name__}: {error}"))
    if not happened:
        world.wrong.append(("void", f"{fault.name} did not happen"))
    return happened


async def _heal(world: World) -> None:
    try:
        await world.heal()
    except AssertionError as error:
        world.wrong.append(("stuck", str(error)))


async def _settled(world: World, load: Load) -> None:
    """Wait for the end of all pipelines, and of their streams, as long as there is any progress."""
    loop = asyncio.get_running_loop()
    began = moved_at = loop.time()
    before = None
    while loop.time() < min(moved_at + STILL_S, began + SETTLE_MAX_S):
        now = *(await world.installation.query(BUSY))[0], await load.timetable.undecided()
        streaming = [job for job in load.jobs if not job.has_ended]
        if now != before or len(streaming) == 0:
            before, moved_at = now, loop.time() if now != before else moved_at
        if not streaming and now[1] == now[2] == 0:
            return
        await asyncio.sleep(0.1)


async def _tail(world: World, load: Load) -> None:
    """New pipelines run at the usual speed, or the quiet is that of a graveyard."""
    shapes = [load.witness(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(5)], [load.command("a")]
    jobs = [load.send(list(shape)) for _ in range(2) for shape in shapes]
    took = [await load.ended(job, TAIL_S) for job in jobs]
    if max(took) >= TAIL_S:
        world.wrong.append(("slow_tail", f"new pipelines take more than {TAIL_S} s"))
        await asyncio.gather(*(load.ended(job, STILL_S) for job in jobs))


async def _judge(world: World, load: Load, faults: Sequence[Fault], played: Round) -> None:
    connection = await asyncpg.connect(world.installation.postgres.url)
    try:
        timetable = await load.timetable.read(connection)
        jobs = [*load.jobs, *load.scheduled(timetable)]
        await load.heard(jobs, STILL_S)
        found = await records(connection, jobs, load.listeners, world.log)
    finally:
        await connection.close()
    played.accepted = sum(record.uuid is not None for record in found)
    played.stages = sum(len(record.stages) for record in found)
    played.ran_twice = sum(record.ran_twice for record in found)
    played.slots = sum(len(schedule.due) for schedule in timetable)
    for schedule in timetable:
        played.found += slot_findings(schedule)
    for record in found:
        played.found += findings(record)
        if all(fault.keeps_attempts for fault in faults):
            played.found += _burnt(record)
        if record.act is None:  # whatever is paused may wait
            _recoveries(record, world)
    played.found += [Finding(counter, what) for counter, what in world.wrong]
    played.found += [Finding("bad_answers", what) for what in world.answers.bad]
    for each in world.recoveries:
        if each.seconds > each.within_s:
            played.found.append(Finding("late", f"{each.what} took {each.seconds:.1f} s, and not {each.within_s:g}"))
    if len(found) > played.accepted:
        played.found.append(Finding("late", f"{len(found) - played.accepted} pipelines were never accepted"))


def _burnt(record: Record) -> list[Finding]:
    burnt = [
        f"{each.stage} {each.attempt} {each.outcome} by {each.worker}"
        for each in record.attempts
        if each.attempt < record.stages[each.stage].attempt
    ]
    return [Finding("late", f"{record.key}: attempts were burnt: {burnt}")] if burnt else []


def _recoveries(record: Record, world: World) -> None:
    """How long it took until the stages of killed workers began again."""
    for before, after in pairwise(record.attempts):
        killed_at: datetime | None = None
        if before.stage == after.stage and before.outcome == "lost" and before.worker:
            killed_at = world.killed_at.get(int(before.worker.rpartition(":")[2]))
        if killed_at is not None:
            seconds = (after.started_at - killed_at).total_seconds()
            world.recovered(f"{after.stage} of {record.key} after the death of its worker", seconds, RESTART_S)


async def _disorder(world: World, newest: int) -> list[Finding]:
    pool = await open_pool(world.installation.postgres.url, max_size=2)
    try:
        await invariants.hold(pool, after=newest)
    except AssertionError as error:
        return [Finding("disorder", str(error))]
    finally:
        await pool.close()
    return []
