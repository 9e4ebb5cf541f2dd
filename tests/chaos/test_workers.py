"""Workers die, sleep, lose Postgres, or are killed by what they run; their stages go on elsewhere."""

import json
import signal
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.proxy import wire
from tests.support.installation import Headway, Installation, is_gapless, noop, stage_of
from tests.support.processes import Oracle, Watched, below, until
from workers.lease import EXIT_SILENT_LOOP

pytestmark = pytest.mark.chaos

TRAINING = [
    {"name": "prepare", "task": "preprocess_dataset", "params": {"dataset": "builtin:digits"}},
    {
        "name": "train",
        "task": "train_model",
        "params": {"dataset": {"from": "stages.prepare.result.dataset"}, "epochs": 20, "epoch_delay_s": 0.2},
    },
]
NEWEST_CHECKPOINT = "SELECT path, step FROM checkpoints ORDER BY step DESC LIMIT 1"
IN_TIME = "SELECT lease_expires_at > clock_timestamp() FROM workers WHERE name LIKE '%:' || $1"


async def test_a_killed_workers_training_goes_on_elsewhere_from_its_last_checkpoint(
    headway: Headway, installation: Installation, record_property: Any
):
    installation.worker()
    installation.worker()
    await installation.ready()
    pipeline = await headway.submit(*TRAINING)
    await until(partial(installation.value, "SELECT count(*) > 2 FROM checkpoints"), "there are no checkpoints")
    worker = installation.runner_of(await headway.stage(pipeline, "train"))
    processes = Watched(below(worker.pid))

    worker.kill()
    killed_at = datetime.now(UTC)

    await processes.gone(within_s=2)
    checkpoint = (await installation.query(NEWEST_CHECKPOINT))[0]
    again = await headway.event(pipeline, "stage.started", "train", attempt=2)
    recovery_s = (again.time - killed_at).total_seconds()
    record_property("recovery of a killed worker's training, seconds at a lease of 3 s", round(recovery_s, 2))
    assert recovery_s < 6

    ended = await headway.ended(pipeline)
    assert ended.status == "completed"
    assert stage_of(ended, "train").attempt == 2
    assert ended.results["train"]["epochs"] == 20
    second = installation.artifacts(ended, "train", 2)
    assert f"resumed from {checkpoint['path']} at batch {checkpoint['step']} of" in (second / "log.txt").read_text()
    assert "/train/1/checkpoints/" in checkpoint["path"]
    assert min(reported_steps(second)) > checkpoint["step"]
    assert is_gapless(await headway.history(pipeline))


def reported_steps(attempt: Path) -> list[int]:
    """The positions at which an attempt has reported metrics."""
    lines = [json.loads(line) for line in (attempt / "events.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if line["type"] == "metrics"]


async def test_a_suspended_worker_comes_back_too_late_and_its_outcome_is_refused(
    headway: Headway, installation: Installation, oracle: Oracle
):
    installation.worker()
    installation.worker()
    await installation.ready()
    code = "say(f'attempt-{attempt}'); wait_for(f'end-{attempt}'); report(type='result', values={'by': attempt})"
    pipeline = await headway.submit(oracle.stage("a", code), noop("b", "a"))
    first = await oracle.heard("attempt-1")
    zombie = installation.runner_of(await headway.stage(pipeline, "a"))
    process = Watched([first.pid])

    zombie.send(signal.SIGSTOP)
    oracle.say("end-1")
    await process.gone()
    await oracle.heard("attempt-2")
    zombie.send(signal.SIGCONT)

    assert await zombie.ended() == 1
    assert zombie.said("outcomes_came_too_late") != []
    assert (await headway.stage(pipeline, "a")).status == "running"
    oracle.say("end-2")
    ended = await headway.ended(pipeline)
    assert ended.status == "completed"
    assert ended.results["a"] == {"by": 2}
    events = await headway.history(pipeline)
    assert [event.type for event in events if event.subject == "a"] == [
        "stage.queued",
        "stage.started",
        "stage.retrying",
        "stage.queued",
        "stage.started",
        "stage.completed",
    ]


async def test_a_worker_without_postgres_warns_and_then_kills_its_stages_before_its_lease_can_be_taken(
    headway: Headway, installation: Installation, oracle: Oracle, tmp_path: Path, record_property: Any
):
    code = "signal.signal(signal.SIGTERM, lambda *_: say('warned')); say('runs'); attempt > 1 or [forever()]"
    async with wire(installation.postgres.url, tmp_path) as proxy:
        cut_off = installation.worker(database_url=proxy.url)
        await installation.ready()
        pipeline = await headway.submit(oracle.stage("a", code))
        process = Watched([(await oracle.heard("runs")).pid])

        proxy.cut()

        await process.gone(within_s=10)
        in_time = await installation.value(IN_TIME, str(cut_off.pid))
        assert oracle.lines(word="warned") != []
        assert in_time
        installation.worker()
        ended = await headway.ended(pipeline)
        assert ended.status == "completed"
        again = stage_of(ended, "a")
        assert again.attempt == 2
        assert again.queued_at is not None
        assert again.started_at is not None
        assert (again.started_at - again.queued_at).total_seconds() < 5, "the one that is cut off has taken it"
        proxy.mend()
        assert await cut_off.ended(within_s=3) == 1


async def test_a_worker_whose_event_loop_is_blocked_ends_itself_and_its_stages(
    headway: Headway, installation: Installation, oracle: Oracle
):
    blocked = installation.worker(task_modules="blocking")
    await installation.ready()
    beside = await headway.submit(oracle.stage("beside", "say('runs'); attempt == 1 and forever()"))
    process = Watched([(await oracle.heard("runs")).pid])

    await headway.submit(noop("a", sleep_s=600) | {"task": "block"})

    assert await blocked.ended() == EXIT_SILENT_LOOP
    await process.gone(within_s=2)
    assert "the event loop is blocked" in blocked.log.read_text()
    installation.worker()
    assert (await headway.ended(beside)).status == "completed"


async def test_a_loop_that_is_blocked_for_a_moment_costs_nothing(
    headway: Headway, installation: Installation, oracle: Oracle
):
    worker = installation.worker(task_modules="blocking")
    await installation.ready()

    pipeline = await headway.run(noop("a", sleep_s=0.5) | {"task": "block"})

    assert pipeline.status == "completed"
    assert worker.is_running


async def test_a_stage_that_kills_its_workers_is_quarantined_and_the_others_go_on(
    headway: Headway, installation: Installation, oracle: Oracle
):
    installation.worker(worker_queues="default,maintenance")
    victims = [installation.worker(worker_queues="training")]
    await installation.ready()
    poison = oracle.stage("poison", "say('kills'); os.kill(worker(), signal.SIGKILL); forever()", queue="training")
    pipeline = await headway.submit(poison, noop("after", "poison"), max_retries=5)
    others = [await headway.submit(noop("a", sleep_s=1), oracle.stage("b", "", depends_on=["a"])) for _ in range(5)]

    for death in range(3):
        await victims[death].ended()
        victims.append(installation.worker(worker_queues="training"))

    ended = await headway.ended(pipeline)
    assert ended.status == "failed"
    poisoned = stage_of(ended, "poison")
    assert (poisoned.status, poisoned.attempt) == ("failed", 3)
    assert poisoned.error is not None
    assert poisoned.error["code"] == "lost_worker"
    assert "3 times in a row" in poisoned.error["message"]
    assert oracle.words().count("kills") == 3
    for other in others:
        neighbour = await headway.ended(other)
        assert [(stage.status, stage.attempt) for stage in neighbour.stages] == [("completed", 1)] * 2
    assert victims[3].is_running
