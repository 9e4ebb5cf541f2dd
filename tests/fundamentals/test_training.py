"""Training: the main job on real data, and a program of the user's own."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from uuid import UUID

from schemas.task import Task
from tests.support.installation import Headway, Installation, is_gapless, stage_of
from tests.support.processes import LOOK_AGAIN_S, WITHIN_S

DATASET = {"from": "stages.prepare.result.dataset"}
TRAINER = Path(__file__).parents[1] / "support" / "trainer.py"
BEST = {"from": "stages.train.result.best_checkpoint"}


async def test_the_training_pipeline_learns_to_read_digits_and_keeps_the_best_checkpoints(
    headway: Headway, installation: Installation
):
    pipeline = await headway.submit(
        {"name": "prepare", "task": "preprocess_dataset", "params": {"dataset": "builtin:digits"}},
        {"name": "train", "task": "train_model", "params": {"dataset": DATASET, "epochs": 20, "epoch_delay_s": 0.1}},
        {"name": "evaluate", "task": "run_evaluation", "params": {"dataset": DATASET, "checkpoint": BEST}},
        {
            "name": "clean-up",
            "task": "cleanup_checkpoints",
            "params": {"stage": "train", "keep_best_n": 2},
            "depends_on": ["evaluate"],
        },
    )
    events = await headway.history(pipeline)
    ended = await headway.get(pipeline)

    assert ended.status == "completed"
    assert is_gapless(events)
    assert {event.type for event in events if event.id is None} == {"stage.progress", "stage.metrics"}

    prepared, trained, evaluated, cleaned = (ended.results[stage.name] for stage in ended.stages)
    assert prepared["rows"]["source"] == 1797
    assert trained["epochs"] == 20
    assert evaluated["accuracy"] >= 0.95
    assert evaluated["checkpoint"] == trained["best_checkpoint"]

    best = [saved["path"] for saved in trained["checkpoints"][:2]]
    assert cleaned["kept"] == best
    assert (cleaned["kept_count"], cleaned["deleted_count"], len(cleaned["deleted"])) == (2, 18, 18)
    on_disk = (installation.artifacts(ended, "train") / "checkpoints").iterdir()
    assert sorted(str(path) for path in on_disk) == sorted(best)


async def test_a_program_of_the_users_own_trains_through_the_run_contract(
    headway: Headway, installation: Installation, tmp_path: Path
):
    script = tmp_path / "my_training.py"
    script.write_text(
        dedent("""
        import json, os, pathlib

        params = json.loads(pathlib.Path(os.environ["HEADWAY_PARAMS"]).read_text())

        def report(**line):
            with open(os.environ["HEADWAY_EVENTS"], "a") as events:
                print(json.dumps(line), file=events)

        for step in range(1, 4):
            measured = {"loss": params["config"]["loss"] / step}
            report(type="progress", step=step, total=3)
            report(type="metrics", step=step, values=measured)
            checkpoint = pathlib.Path(os.environ["HEADWAY_CHECKPOINT_DIR"], f"step-{step}")
            checkpoint.write_text("weights")
            report(type="checkpoint", path=str(checkpoint), step=step, metrics=measured)
        report(type="result", values={"best_checkpoint": str(checkpoint), "trees": 7, "data": params["dataset"]})
        """)
    )
    train = {"dataset": "/my/data", "entrypoint": [sys.executable, str(script)], "config": {"loss": 6}}
    pipeline = await headway.run(
        {"name": "train", "task": "train_model", "params": train},
        {
            "name": "clean-up",
            "task": "cleanup_checkpoints",
            "params": {"stage": "train", "keep_best_n": 1, "metric": "loss"},
            "depends_on": ["train"],
        },
    )

    assert pipeline.status == "completed"
    checkpoints = installation.artifacts(pipeline, "train") / "checkpoints"
    assert pipeline.results["train"] == {"best_checkpoint": f"{checkpoints}/step-3", "trees": 7, "data": "/my/data"}
    assert stage_of(pipeline, "train").progress == 1
    assert [path.name for path in checkpoints.iterdir()] == ["step-3"]


async def test_a_training_that_speaks_kubeflows_protocol_shows_its_progress_and_knows_nothing_of_headway(
    headway: Headway, installation: Installation, tmp_path: Path
):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    argv = [sys.executable, str(TRAINER), str(gate), "3"]
    pipeline = await headway.submit({"name": "train", "task": "run_command", "params": {"argv": argv}})
    await headway.event(pipeline, "stage.progress", "train", step=3)

    task_id = (await headway.stage(pipeline, "train")).task_id
    task = await look_until(headway, task_id, lambda task: task.step == 3 and task.loss is not None)
    assert (task.total, task.progress, task.loss) == (4, 0.75, 1 / 3)
    assert 0 < task.eta_s <= 30
    token = installation.artifacts(await headway.get(pipeline), "train") / "progress.token"
    assert token.stat().st_mode & 0o777 == 0o600

    await asyncio.to_thread(gate.write_text, "go on")
    assert (await headway.ended(pipeline)).status == "completed"
    assert not token.exists()
    ended = await headway.tasks.get(task_id)
    assert (ended.step, ended.eta_s, ended.loss) == (None, None, 0.25)
    series = {each.name: each.points for each in (await headway.tasks.metrics(task_id)).items}
    assert [(step, value) for step, value, _ in series["loss"]] == [
        (1, 1),
        (2, 1 / 2),
        (3, 1 / 3),
        (4, 1 / 4),
        (4, 1 / 4),
    ]
    assert series.keys() == {"loss", "learning_rate", "current_epoch", "train_runtime"}


async def look_until(headway: Headway, task_id: UUID, fact: Callable[[Task], bool]) -> Task:
    """What is reported arrives within a second or two."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            task = await headway.tasks.get(task_id)
            if fact(task):
                return task
            await asyncio.sleep(LOOK_AGAIN_S)
