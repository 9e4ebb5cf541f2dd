"""Any number of each role: nobody leads, and whoever leaves hands over."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.support.installation import Headway, Installation, is_gapless, noop, stage_of
from tests.support.processes import Oracle, Watched, until

TRAINING = {"dataset": {"from": "stages.prepare.result.dataset"}, "epochs": 40, "epoch_delay_s": 0.2}
"""Takes far longer than half the drain timeout, in which it could end by itself."""

OPEN_RUNS = "SELECT count(*) FROM periodic_runs WHERE name ~ 'upkeep' AND outcome IS NULL"
DAY_AGO = """
WITH newest AS (
    UPDATE periodic_runs SET slot = slot - make_interval(days => 10 - $1) FROM periodic_tasks AS t
     WHERE t.name = periodic_runs.name AND slot = t.last_slot AND t.name ~ 'upkeep'
)
UPDATE periodic_tasks SET last_slot = last_slot - interval '1 day' WHERE name ~ 'upkeep'"""
RUNS = """
SELECT name, count(*), array_agg(DISTINCT outcome), t.missed FROM periodic_runs JOIN periodic_tasks AS t USING (name)
 WHERE name ~ 'upkeep' GROUP BY name, t.missed ORDER BY name"""


@pytest.fixture(scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """Two of each."""
    hurried = {"task_modules": "hurried_clock", "worker_concurrency": 2}
    async with Installation(tmp_path_factory.mktemp("headway"), **hurried) as installation:
        for _ in range(2):
            installation.api()
            installation.scheduler()
            installation.worker()
        await installation.ready()
        yield installation


async def test_two_schedulers_and_two_workers_run_thirty_pipelines_each_stage_once(
    headway: Headway, oracle: Oracle, installation: Installation
):
    shapes = [
        [noop("a"), noop("b", "a"), noop("c", "b"), noop("d", "c")],
        [noop("a"), noop("b", "a"), noop("c", "a"), noop("d", "b", "c")],
        [noop("a"), *(noop(f"b{n}", "a", sleep_s=0.01) for n in range(8)), noop("c", *(f"b{n}" for n in range(8)))],
        [oracle.stage("a", "say('ran')"), noop("b", "a")],
        [noop("a"), noop("b")],
    ]
    pipelines = [await headway.submit(*shapes[number % 5]) for number in range(30)]

    for events in await asyncio.gather(*(headway.history(pipeline) for pipeline in pipelines)):
        assert is_gapless(events)
        assert events[-1].type == "pipeline.completed"
        assert not [event for event in events if event.type == "stage.retrying"]
    assert oracle.words() == ["ran"] * 6
    attempts = await installation.query("SELECT attempt, outcome FROM attempts")
    assert [tuple(row) for row in attempts] == [(1, "completed")] * (6 * (4 + 4 + 10 + 2 + 2))


async def test_two_schedulers_fire_fifty_slots_of_a_schedule_each_once(headway: Headway, installation: Installation):
    pipeline = {"name": "each-minute", "stages": [noop("a")]}
    policies = {"overlap": "allow", "catch_up": "all", "catch_up_max": 100}
    await headway.schedules.create({"name": "s", "cron": "* * * * *", "pipeline": pipeline, **policies})
    (row,) = await installation.query(
        "UPDATE schedules SET next_run_at = next_run_at - interval '50 minutes' RETURNING next_run_at"
    )

    async def caught_up() -> bool:
        return (await headway.schedules.get("s")).next_run_at > row["next_run_at"] + timedelta(minutes=49)

    await until(caught_up, "the slots were not fired")
    await headway.schedules.delete("s")

    made = await installation.query(
        "SELECT uuid, (labels ->> 'headway.slot')::timestamptz AS slot FROM pipelines WHERE name = $1", "each-minute"
    )
    assert len(made) >= 50
    assert sorted(each["slot"] for each in made) == [
        row["next_run_at"] + timedelta(minutes=number) for number in range(len(made))
    ]
    ended = await asyncio.gather(*(headway.ended(each["uuid"]) for each in made))
    assert {pipeline.status for pipeline in ended} == {"completed"}


async def test_two_workers_run_fifty_slots_of_periodic_tasks_each_once(installation: Installation):
    log, workers = installation.data_dir / "upkeep.log", [p.pid for p in installation.processes if p.role == "worker"]

    def said() -> Counter[str]:
        return Counter(log.read_text().splitlines())

    def ticks() -> list[int]:
        return [said()[f"{worker} tick"] for worker in workers]

    async def are_done() -> bool:
        return await installation.value(OPEN_RUNS) == 0

    await until(lambda: log.exists() and all(ticks()), "not both workers tick")
    for number in range(1, 5):
        await until(are_done, "the slots before were not run")
        # As if a day had gone by since the slot before.
        await installation.query(DAY_AGO, number)
        enough = max(ticks()) + 1
        await until(lambda: min(ticks()) >= enough, "not both have ticked")  # noqa: B023
    await until(are_done, "the last slots were not run")

    runs = Counter(line.split()[1] for line in said().elements() if not line.endswith("tick"))
    assert runs == {f"upkeep-{number}": 5 for number in range(10)}
    rows = await installation.query(RUNS)
    assert [tuple(row) for row in rows] == [(f"upkeep-{number}", 5, ["completed"], 0) for number in range(10)]


async def test_a_worker_that_is_asked_to_leave_lets_its_short_stages_finish(
    headway: Headway, oracle: Oracle, installation: Installation
):
    pipeline = await headway.submit(oracle.stage("short", "say('runs'); wait_for('go')"))
    await oracle.heard("runs")
    worker = installation.runner_of(await headway.stage(pipeline, "short"))

    worker.send(signal.SIGTERM)
    oracle.say("go")

    ended = await headway.ended(pipeline)
    assert (ended.status, stage_of(ended, "short").attempt) == ("completed", 1)
    assert await worker.ended() == 0
    installation.worker()
    await installation.ready()


async def test_a_worker_that_is_asked_twice_does_not_wait(headway: Headway, oracle: Oracle, installation: Installation):
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); say('runs')\nwhile attempt == 1: time.sleep(1)"
    pipeline = await headway.submit(oracle.stage("stubborn", code))
    process = Watched([(await oracle.heard("runs")).pid])
    worker = installation.runner_of(await headway.stage(pipeline, "stubborn"))

    worker.send(signal.SIGTERM)
    await until(lambda: worker.said("worker_drains"), "it has not heard")
    worker.send(signal.SIGTERM)

    assert await worker.ended(within_s=2) == 0
    assert process.living() == []
    ended = await headway.ended(pipeline)
    assert (ended.status, stage_of(ended, "stubborn").attempt) == ("completed", 2)
    installation.worker()
    await installation.ready()


async def test_a_long_training_goes_on_elsewhere_from_its_checkpoint_when_its_worker_leaves(
    headway: Headway, installation: Installation
):
    pipeline = await headway.submit(
        {"name": "prepare", "task": "preprocess_dataset", "params": {"dataset": "builtin:digits"}},
        {"name": "train", "task": "train_model", "params": TRAINING, "max_retries": 0},
    )
    await headway.event(pipeline, "stage.progress", "train")
    worker = installation.runner_of(await headway.stage(pipeline, "train"))

    worker.send(signal.SIGTERM)

    assert await worker.ended() == 0
    ended = await headway.ended(pipeline)
    train = stage_of(ended, "train")
    assert (train.status, train.attempt) == ("completed", 2)
    assert installation.runner_of(train) is not worker
    assert "resumed from" in (installation.artifacts(ended, "train", 2) / "log.txt").read_text()
    assert await installation.value("SELECT failures FROM stages WHERE uuid = $1", train.task_id) == 0
