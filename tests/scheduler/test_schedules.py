"""Schedules: a slot fires once, however many schedulers look; overlap and catch-up do what they say."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from app.db import schedules as db
from app.errors import Conflict, InvalidRequest, NotFound
from app.scheduler import schedules as duty
from app.scheduler.schedules import Schedules
from app.services import pipelines, schedules, slots, tasks, templates
from schemas.schedule import CatchUp, Overlap, SchedulePatch, ScheduleSpec
from schemas.states import Outcome, PipelineStatus
from schemas.template import TemplateSpec
from tests.support.jobs import popped
from tests.support.pipelines import Submitted, submitted
from tests.support.workers import a_worker, ending
from workers.tasks.built_in import BUILT_IN
from workers.tasks.registration import task_type

NEVER_BY_ITSELF = "0 0 1 1 *"
"""At least not while these tests run."""
PIPELINE = {"name": "p", "stages": [{"name": "a", "task": "noop"}]}


@pytest.fixture(autouse=True)
async def task_types(pool):
    await tasks.register(pool, map(task_type, BUILT_IN.values()))


@pytest.fixture
def scheduler(pool, queue):
    return Schedules(pool, queue, stages_max=100)


class Clocked:
    """A schedule whose next slot is set by the test, so that nobody has to wait for it."""

    def __init__(self, pool, name: str) -> None:
        self.pool, self.name = pool, name

    async def comes(self, **ago: float) -> datetime:
        """Its next slot was so long ago, on a full minute."""
        slot = (datetime.now(UTC) - timedelta(**ago)).replace(second=0, microsecond=0)
        await self.pool.execute("UPDATE schedules SET next_run_at = $2 WHERE name = $1", self.name, slot)
        return slot

    async def look(self):
        return await schedules.get(self.pool, self.name)

    async def states(self) -> list[str]:
        """What became of its slots, the oldest first."""
        return [str(slot.state) for slot in reversed((await self.look()).slots)]

    async def pipelines(self) -> list[Submitted]:
        """Its pipelines, the oldest first."""
        query = "SELECT pipeline FROM schedule_slots WHERE pipeline IS NOT NULL ORDER BY slot"
        return [await submitted(self.pool, row["pipeline"]) for row in await self.pool.fetch(query)]


@pytest.fixture
def schedule(pool):
    async def schedule(cron: str = NEVER_BY_ITSELF, name: str = "s", **fields: Any) -> Clocked:
        target = {} if "template" in fields else {"pipeline": PIPELINE}
        await schedules.create(pool, ScheduleSpec(name=name, cron=cron, **(target | fields)), stages_max=100)
        return Clocked(pool, name)

    return schedule


async def end(pool, pipeline: Submitted) -> None:
    worker = await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()


async def test_over_fifty_slots_each_fires_once_however_many_schedulers_look(pool, queue, schedule):
    one = await schedule(overlap=Overlap.ALLOW)
    schedulers = [Schedules(pool, queue, stages_max=100) for _ in range(4)]
    hours = range(50, 0, -1)
    for ago in hours:
        await one.comes(hours=ago)
        await asyncio.gather(*(each.run_once() for each in schedulers))
    assert await one.states() == ["fired"] * 20
    fired = await pool.fetch("SELECT slot, count(*) FROM schedule_slots GROUP BY slot")
    assert [row["count"] for row in fired] == [1] * 50
    assert await pool.fetchval("SELECT count(*) FROM pipelines") == 50
    labels = await pool.fetchval("SELECT array_agg(DISTINCT labels ->> 'headway.slot') FROM pipelines")
    assert len(labels) == 50


async def test_what_it_fires_is_started_and_dispatched(schedule, scheduler, queue):
    one = await schedule(priority=8, labels={"team": "vision"})
    slot = await one.comes(seconds=0)
    assert await scheduler.run_once() == 1
    (pipeline,) = await one.pipelines()
    row = await pipeline.row()
    assert (row["status"], row["priority"]) == ("running", 8)
    assert msgspec.json.decode(row["labels"]) == {
        "team": "vision",
        "headway.schedule": "s",
        "headway.slot": f"{slot:%Y-%m-%dT%H:%M:%SZ}",
    }
    assert len(await popped(queue)) == 1
    assert await scheduler.run_once() == 0
    seen = await one.look()
    assert (seen.last_slot.slot, seen.last_slot.pipeline) == (slot, pipeline.uuid)
    assert seen.next_run_at > datetime.now(UTC)


async def test_a_scheduler_that_dies_before_the_commit_has_fired_nothing(pool, schedule, scheduler, monkeypatch):
    one = await schedule()
    await one.comes(seconds=0)

    async def die(*_, **__):
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(db, "fire", die)
        await scheduler.run_once()
    assert await pool.fetchval("SELECT count(*) FROM pipelines") == 0
    await scheduler.run_once()
    assert await one.states() == ["fired"]


async def test_one_that_dies_after_it_leaves_the_dispatch_to_the_sweep(pool, schedule, scheduler, monkeypatch):
    one = await schedule()
    await one.comes(seconds=0)

    async def die(*_, **__):
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(duty, "announce", die)
        with pytest.raises(ZeroDivisionError):
            await scheduler.run_once()
    assert await scheduler.run_once() == 0
    assert await one.states() == ["fired"]
    assert await pool.fetchval("SELECT count(*) FROM pipelines") == 1


async def test_a_stale_look_changes_nothing(pool, schedule, scheduler):
    one = await schedule()
    await one.comes(seconds=0)
    (seen,) = await slots.due(pool, 10)
    await schedules.patch(pool, "s", SchedulePatch(description="changed"), stages_max=100)
    assert (await slots.fire(pool, seen, stages_max=100)).stale
    (seen,) = await slots.due(pool, 10)
    assert not (await slots.fire(pool, seen, stages_max=100)).stale
    assert (await slots.fire(pool, seen, stages_max=100)).stale
    assert await one.states() == ["fired"]


async def test_a_slot_that_was_decided_is_never_decided_again(pool, schedule, scheduler):
    one = await schedule(overlap=Overlap.ALLOW)
    slot = await one.comes(seconds=0)
    await scheduler.run_once()
    await pool.execute("UPDATE schedules SET next_run_at = $1", slot)
    await scheduler.run_once()
    assert await one.states() == ["fired"]
    assert await pool.fetchval("SELECT count(*) FROM pipelines") == 1


@pytest.mark.parametrize(
    ("catch_up", "states"),
    [
        (CatchUp.NONE, ["missed"] * 3),
        (CatchUp.LATEST, ["missed"] * 2 + ["fired"]),
        (CatchUp.ALL, ["missed"] + ["fired"] * 2),
    ],
)
async def test_after_an_outage_the_catch_up_policy_decides(pool, schedule, scheduler, catch_up, states):
    minute = (datetime.now(UTC) - timedelta(minutes=10)).minute
    one = await schedule(f"{minute} * * * *", overlap=Overlap.ALLOW, catch_up=catch_up, catch_up_max=2)
    await one.comes(hours=2, minutes=10)
    await scheduler.run_once()
    assert await one.states() == states
    assert (await one.look()).missed == states.count("missed")
    assert len(await one.pipelines()) == states.count("fired")


async def test_a_very_long_outage_is_worked_off_in_turns_and_counted(pool, schedule, scheduler):
    one = await schedule("* * * * *", catch_up=CatchUp.LATEST)
    slot = await one.comes(days=3)
    while await scheduler.run_once():
        pass
    assert len(await one.pipelines()) == 1
    seen = await one.look()
    (fired,) = (each.slot for each in seen.slots if each.state == "fired")
    assert seen.missed == round((fired - slot).total_seconds() / 60)
    assert seen.missed >= 3 * 1440 - 1


async def slots_come(one: Clocked, scheduler: Schedules, count: int) -> None:
    """So many slots, each looked at on time."""
    for number in range(count):
        await one.pool.execute(
            "UPDATE schedules SET next_run_at = date_trunc('second', clock_timestamp()) - make_interval(secs => $1)",
            50 - number,
        )
        await scheduler.run_once()


async def test_skip_leaves_a_slot_out_while_the_one_before_runs(pool, schedule, scheduler):
    one = await schedule(overlap=Overlap.SKIP)
    await slots_come(one, scheduler, 2)
    assert await one.states() == ["fired", "skipped"]
    (first,) = await one.pipelines()
    await end(pool, first)
    await pool.execute("UPDATE schedules SET next_run_at = clock_timestamp()")
    await scheduler.run_once()
    assert await one.states() == ["fired", "skipped", "fired"]


async def test_buffer_one_waits_for_the_end_and_no_other_waits_behind_it(pool, schedule, scheduler):
    one = await schedule(overlap=Overlap.BUFFER_ONE)
    await slots_come(one, scheduler, 3)
    assert await one.states() == ["fired", "waiting", "skipped"]
    (first,) = await one.pipelines()
    assert await scheduler.run_once() == 0
    await end(pool, first)
    await scheduler.run_once()
    assert await one.states() == ["fired", "fired", "skipped"]


async def test_a_slot_that_waits_does_not_run_before_its_time_whoever_says_so(pool, schedule, scheduler):
    one = await schedule(overlap=Overlap.BUFFER_ONE)
    await slots_come(one, scheduler, 2)
    await pool.execute("UPDATE schedules SET next_run_at = clock_timestamp()")
    (seen,) = await slots.due(pool, 10)
    early = replace(seen, waiting=True, slot=(await one.look()).last_slot.slot)
    assert (await slots.fire(pool, early, stages_max=100)).stale
    (first,) = await one.pipelines()
    await end(pool, first)
    assert not (await slots.fire(pool, early, stages_max=100)).stale
    assert (await slots.fire(pool, early, stages_max=100)).stale
    assert await one.states() == ["fired", "fired"]


async def test_a_slot_that_waits_does_not_run_as_somebody_saw_it_before_a_change(pool, schedule, scheduler):
    one = await schedule(overlap=Overlap.BUFFER_ONE)
    await slots_come(one, scheduler, 2)
    await end(pool, *(await one.pipelines()))
    (seen,) = await slots.due(pool, 10)
    assert seen.waiting
    await schedules.patch(pool, "s", SchedulePatch(paused=True), stages_max=100)
    assert (await slots.fire(pool, seen, stages_max=100)).stale
    assert await slots.due(pool, 10) == []
    await schedules.patch(pool, "s", SchedulePatch(paused=False), stages_max=100)
    (seen,) = await slots.due(pool, 10)
    assert not (await slots.fire(pool, seen, stages_max=100)).stale
    assert await one.states() == ["fired", "fired"]


async def test_cancel_other_cancels_what_runs_and_runs_when_it_has_ended(pool, schedule, scheduler):
    one = await schedule(overlap=Overlap.CANCEL_OTHER)
    await slots_come(one, scheduler, 1)
    (first,) = await one.pipelines()
    claim = await (worker := await a_worker(pool)).start(first, "a")
    await pool.execute("UPDATE schedules SET next_run_at = date_trunc('second', clock_timestamp())")
    await scheduler.run_once()
    assert (await first.status(), await one.states()) == (PipelineStatus.CANCELLING, ["fired", "waiting"])
    assert await scheduler.run_once() == 0
    await worker.report(ending(claim, Outcome.CANCELLED))
    await first.release()
    await scheduler.run_once()
    assert (await first.status(), await one.states()) == (PipelineStatus.CANCELLED, ["fired", "fired"])


async def test_allow_runs_them_beside_each_other(schedule, scheduler):
    one = await schedule(overlap=Overlap.ALLOW)
    await slots_come(one, scheduler, 3)
    assert await one.states() == ["fired"] * 3


async def test_each_slot_takes_the_newest_version_of_the_template_unless_one_is_named(pool, schedule, scheduler):
    def spec(pause):
        stage = {"name": "a", "task": "noop", "params": {"sleep_s": pause}}
        return TemplateSpec("t", {"name": "t", "stages": [stage]})

    await templates.create(pool, spec(1))
    await schedule(name="newest", template="t", overlap=Overlap.ALLOW)
    await schedule(name="first", template="t", version=1, overlap=Overlap.ALLOW)
    await templates.create(pool, spec(2))
    await pool.execute("UPDATE schedules SET next_run_at = clock_timestamp()")
    await scheduler.run_once()
    query = """
SELECT p.labels ->> 'headway.schedule', s.params ->> 'sleep_s'
  FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id"""
    assert dict(await pool.fetch(query)) == {"newest": "2", "first": "1"}


async def test_a_slot_of_which_nothing_can_be_made_has_failed_and_says_why_and_the_others_go_on(
    pool, schedule, scheduler
):
    one = await schedule(name="a")
    other = await schedule(name="b")
    await pool.execute('UPDATE schedules SET pipeline = \'{"name": "p", "stages": []}\' WHERE name = \'a\'')
    for each in (one, other):
        await each.comes(seconds=0)
    await scheduler.run_once()
    seen = (await one.look()).last_slot
    assert (seen.state, seen.error["errors"][0]["pointer"]) == ("failed", "/pipeline/stages")
    assert await other.states() == ["fired"]


async def test_a_schedule_that_cannot_be_read_does_not_stop_the_others(pool, schedule, scheduler):
    one, other = await schedule(name="a"), await schedule(name="b")
    await pool.execute("UPDATE schedules SET timezone = 'Atlantis' WHERE name = 'a'")
    for each in (one, other):
        await each.comes(seconds=0)
    await scheduler.run_once()
    assert (await one.states(), await other.states()) == ([], ["fired"])


async def test_many_schedules_that_cannot_be_read_do_not_fill_the_places_of_the_others(
    pool, schedule, scheduler, monkeypatch
):
    monkeypatch.setattr("app.scheduler.schedules.LIMIT", 2)
    broken = [await schedule(name=name) for name in ("a", "b")]
    other = await schedule(name="c")
    await pool.execute("UPDATE schedules SET timezone = 'Atlantis' WHERE name <> 'c'")
    for each in broken:
        await each.comes(minutes=2)
    await other.comes(seconds=0)
    await scheduler.run_once()
    await scheduler.run_once()
    assert await other.states() == ["fired"]


async def test_a_schedule_that_breaks_again_after_it_fired_is_complained_of_again(pool, schedule, scheduler):
    one = await schedule()
    complaints = []
    for zone in ("Atlantis", "Atlantis", "UTC", "Atlantis"):
        await pool.execute("UPDATE schedules SET timezone = $1", zone)
        await one.comes(minutes=3 if zone == "UTC" else 0)
        with capture_logs() as logs:
            await scheduler.run_once()
        complaints.append(sum(each["event"] == "schedule_broken" for each in logs))
    assert complaints == [1, 0, 0, 1]


async def test_a_paused_schedule_fires_nothing_and_a_resume_counts_from_now(pool, schedule, scheduler):
    one = await schedule(paused=True)
    assert (await one.look()).next_run_at is None
    assert await scheduler.run_once() == 0
    resumed = await schedules.patch(pool, "s", SchedulePatch(paused=False), stages_max=100)
    assert resumed.next_run_at > datetime.now(UTC)
    await one.comes(hours=1)
    kept = (await schedules.patch(pool, "s", SchedulePatch(description="d"), stages_max=100)).next_run_at
    assert kept < datetime.now(UTC)
    moved = await schedules.patch(pool, "s", SchedulePatch(cron="0 0 2 1 *"), stages_max=100)
    assert moved.next_run_at > datetime.now(UTC)


async def test_pipelines_stay_when_their_schedule_is_deleted(pool, schedule, scheduler):
    one = await schedule()
    await one.comes(seconds=0)
    await scheduler.run_once()
    (pipeline,) = await one.pipelines()
    await schedules.delete(pool, "s")
    assert (await pipelines.get(pool, pipeline.uuid)).status == "running"
    with pytest.raises(NotFound):
        await schedules.get(pool, "s")


async def test_old_slots_are_forgotten_but_not_those_that_matter(pool, schedule, scheduler):
    one = await schedule(overlap=Overlap.BUFFER_ONE)
    await slots_come(one, scheduler, 4)
    await pool.execute("UPDATE schedule_slots SET decided_at = now() - interval '40 days'")
    assert await schedules.prune(pool, 30 * 86_400) == 1
    assert await one.states() == ["fired", "waiting", "skipped"]  # the newest stays, to be looked at


async def test_a_fixed_uuid_and_a_name_twice_are_refused(pool, schedule):
    await schedule()
    with pytest.raises(Conflict):
        await schedule()
    params = {"dataset": "builtin:digits", "job_uuid": "0197d3a0-5c1e-7b52-9c40-3f6a8d21e0b7"}
    with pytest.raises(InvalidRequest, match="a pipeline of its own"):
        await schedule(name="t", template="training", params=params)
