"""By the clock and from templates: the old training in one call, a nightly pipeline, the upkeep of the workers."""

from tests.support.installation import Headway, Installation, noop
from tests.support.processes import until

UUID = "0197d3a0-5c1e-7b52-9c40-3f6a8d21e0b7"
COMES_NOW = "UPDATE schedules SET next_run_at = date_trunc('minute', clock_timestamp()) WHERE name = $1"


async def test_the_training_template_does_what_run_training_pipeline_did(headway: Headway, installation: Installation):
    params = {
        "job_uuid": UUID,
        "dataset": "builtin:digits",
        "training_config": {"epochs": 4, "learning_rate": 0.1},
        "keep_best_n": 1,
    }
    pipeline = await headway.templates.submit("training", {"params": params})
    again = await headway.templates.submit("training", {"params": params})
    assert str(pipeline.uuid) == str(again.uuid) == UUID

    ended = await headway.ended(pipeline.uuid)

    assert [stage.task for stage in ended.stages] == [
        "preprocess_dataset",
        "train_model",
        "run_evaluation",
        "cleanup_checkpoints",
    ]
    assert (ended.status, ended.results["train"]["epochs"]) == ("completed", 4)
    assert ended.results["evaluate"]["accuracy"] > 0.8
    assert len(ended.results["cleanup"]["kept"]) == 1
    assert ended.labels["headway.template"] == "training"


async def test_a_schedule_submits_a_pipeline_when_its_time_comes(headway: Headway, installation: Installation):
    spec = {"name": "nightly", "cron": "30 2 * * *", "pipeline": {"name": "nightly", "stages": [noop("a")]}}
    await headway.schedules.create(spec)
    await installation.query(COMES_NOW, "nightly")

    async def fired() -> bool:
        return bool((await headway.schedules.get("nightly")).slots)

    await until(fired, "the slot was not fired")
    (slot,) = (await headway.schedules.get("nightly")).slots
    assert slot.pipeline is not None
    ended = await headway.ended(slot.pipeline)
    assert (ended.status, ended.labels["headway.schedule"]) == ("completed", "nightly")
    await headway.schedules.delete("nightly")
    assert (await headway.get(slot.pipeline)).status == "completed"


async def test_workers_do_the_upkeep_and_say_when_they_did_and_will(headway: Headway):
    async def upkept() -> bool:
        runs = [task.last_run for task in (await headway.periodic_tasks()).items]
        return bool(runs) and all(run and run.outcome == "completed" for run in runs)

    await until(upkept, "no worker has run its periodic tasks")
    for task in (await headway.periodic_tasks()).items:
        assert task.last_run is not None
        assert (task.next_run_at - task.last_run.slot).total_seconds() == task.interval_s
        assert task.last_run.worker
