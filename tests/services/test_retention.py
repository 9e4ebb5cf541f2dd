"""Checkpoints go as the rules say, and what is kept survives whatever dies on the way."""

import asyncio
import os
import shutil
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.artifacts import attempt_directory
from app.core.retention import Rule
from app.services import checkpoints, pipelines, retention
from app.settings import Settings
from schemas.checkpoint import CheckpointReport
from schemas.states import Outcome
from tests.services.dying_cleanup import RULE
from tests.support.pipelines import PAIR, submit
from tests.support.workers import a_worker, ending
from workers.cron import PERIODIC

ROOT = Path(__file__).parents[2]


class Training:
    """A stage with checkpoints in Postgres and on disk."""

    def __init__(self, pool, data_dir, pipeline, claim):
        self.pool, self.data_dir, self.pipeline, self.claim = pool, data_dir, pipeline, claim
        self.directory = attempt_directory(data_dir, pipeline.uuid, claim.name, claim.attempt) / "checkpoints"
        self.directory.mkdir(parents=True, exist_ok=True)

    async def save(self, step, *, loss=None, path=None, kind="directory"):
        path = Path(path or self.directory / f"step-{step}")
        if kind == "directory":
            path.mkdir(parents=True, exist_ok=True)
            (path / "weights").write_text("w" * step)
            (path / "optimizer").write_text("o")
        elif kind == "file":
            path.write_text("w" * step)
        metrics = {} if loss is None else {"loss": loss}
        report = CheckpointReport(self.claim.stage, self.claim.lease_token, step, str(path), metrics, step)
        await checkpoints.record(self.pool, [report])

    async def states(self):
        rows = await self.pool.fetch("SELECT step, state FROM checkpoints WHERE pipeline_id = $1", self.pipeline.id)
        return {row["step"]: row["state"] for row in rows}

    async def pin(self, step):
        query = "SELECT id FROM checkpoints WHERE pipeline_id = $1 AND step = $2"
        return await checkpoints.pin(self.pool, await self.pool.fetchval(query, self.pipeline.id, step))

    def on_disk(self):
        return sorted(path.name for path in self.directory.iterdir())

    async def clean(self, rule=RULE, **options):
        return await retention.clean(self.pool, self.data_dir, self.pipeline.uuid, rule, **options)


@pytest.fixture
async def training(pool, tmp_path):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    claim, other = await worker.claim(pipeline, "a", "b")
    training = Training(pool, tmp_path, pipeline, claim)
    training.worker, training.other = worker, other
    return training


async def test_the_best_the_pinned_and_the_last_two_of_a_stage_that_runs_are_kept(training):
    for step, loss in enumerate([0.5, 0.1, 0.6, 0.4, 0.3, 0.2], 1):
        await training.save(step, loss=loss)
    await training.pin(3)
    cleaned = await training.clean()
    assert [Path(path).name for path in cleaned.deleted] == ["step-1", "step-4"]
    assert Path(cleaned.kept[0]).name == "step-2"
    assert training.on_disk() == ["step-2", "step-3", "step-5", "step-6"]
    assert cleaned.freed_bytes == 5
    await training.worker.report(ending(training.claim))
    await training.clean()
    assert training.on_disk() == ["step-2", "step-3"]
    assert await training.states() == dict.fromkeys([1, 4, 5, 6], "deleted") | dict.fromkeys([2, 3], "complete")


@pytest.mark.parametrize("ends", ["failed", "in a pipeline that was cancelled"])
async def test_what_a_stage_that_may_be_retried_would_resume_from_is_kept(training, ends):
    for step in (1, 2, 3, 4):
        await training.save(step, loss=step)
    if ends == "failed":
        await training.worker.report(ending(training.claim, Outcome.FAILED))
    else:
        await training.worker.report(ending(training.claim))
        await pipelines.cancel(training.pool, training.pipeline.uuid)
        await training.worker.report(ending(training.other, Outcome.CANCELLED))
        await training.pipeline.release()
        assert await training.pipeline.status() == "cancelled"
    await training.clean()
    assert training.on_disk() == ["step-1", "step-3", "step-4"]


async def test_a_dry_run_says_what_would_go_and_deletes_nothing(training):
    for step in (1, 2, 3, 4):
        await training.save(step, loss=step)
    cleaned = await training.clean(dry_run=True)
    assert [Path(path).name for path in cleaned.deleted] == ["step-2"]
    assert len(training.on_disk()) == 4
    assert set((await training.states()).values()) == {"complete"}


@pytest.mark.parametrize(
    "elsewhere",
    ["outside", "through a link", "a relative path", "the attempt itself", "another stage", "upwards", "s3://bucket/1"],
)
async def test_what_lies_outside_the_run_is_never_deleted(training, tmp_path, elsewhere):
    outside = tmp_path / "models"
    outside.mkdir()
    (outside / "step-1").write_text("precious")
    (training.directory / "link").symlink_to(outside)
    attempt = training.directory.parent
    (attempt.parents[1] / "b" / "1").mkdir(parents=True)
    (attempt.parents[1] / "b" / "1" / "x").write_text("precious")
    path = {
        "outside": outside / "step-1",
        "through a link": training.directory / "link" / "step-1",
        "a relative path": "step-1",
        "the attempt itself": attempt,
        "another stage": attempt.parents[1] / "b" / "1" / "x",
        "upwards": attempt / ".." / ".." / "b" / "1" / "x",
    }.get(elsewhere, elsewhere)
    await training.save(1, loss=9, path=path, kind="none")
    for step in (2, 3, 4):
        await training.save(step, loss=1)
    before = sorted(tmp_path.rglob("*"))
    await training.clean()
    assert (await training.states())[1] == "complete"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kept", ["run/best", "run", "/run", "link", "run/../run/best"])
async def test_what_is_kept_survives_when_it_lies_in_a_doomed_one_or_is_the_same_under_another_name(training, kept):
    run = training.directory / "run"
    await training.save(1, loss=0.9, path=run)
    await training.save(2, loss=0.1, path=run / "best")
    (training.directory / "link").symlink_to(run)
    await training.pool.execute("UPDATE checkpoints SET path = $1 WHERE step = 2", f"{training.directory}/{kept}/")
    for step in (3, 4, 5):
        await training.save(step, loss=0.5)
    cleaned = await training.clean()
    assert [Path(path).name for path in cleaned.deleted] == ["step-3"]
    assert training.on_disk() == ["link", "run", "step-4", "step-5"]
    assert (run / "best" / "weights").exists()
    assert (run / "weights").exists()
    assert await training.states() == {1: "complete", 2: "complete", 3: "deleted", 4: "complete", 5: "complete"}


async def test_a_link_put_in_the_way_after_the_judgement_is_not_followed(training, tmp_path, monkeypatch):
    for step in (1, 2, 3, 4):
        await training.save(step, loss=step)
    (tmp_path / "models" / "step-2").mkdir(parents=True)
    (tmp_path / "models" / "step-2" / "weights").write_text("precious")
    mark_deleting = retention.db.mark_deleting

    async def mark_and_swap(c, ids):
        training.directory.rename(training.directory.with_name("was"))
        training.directory.symlink_to(tmp_path / "models")
        return await mark_deleting(c, ids)

    monkeypatch.setattr(retention.db, "mark_deleting", mark_and_swap)
    await training.clean()
    assert (tmp_path / "models" / "step-2" / "weights").read_text() == "precious"
    assert (await training.states())[2] == "deleting"


def before(monkeypatch, action):
    """Let something happen right before the first files are removed."""
    remove, once = retention.remove, iter([action])
    loop = asyncio.get_running_loop()

    def remove_later(root, steps, mark):
        for act in once:
            asyncio.run_coroutine_threadsafe(act(), loop).result()
        remove(root, steps, mark)

    monkeypatch.setattr(retention, "remove", remove_later)


async def test_one_that_is_written_anew_or_needed_anew_before_its_turn_is_left_alone(training, monkeypatch):
    for step in (1, 2, 3, 4, 5, 6):
        await training.save(step, loss=step)
    inside = training.directory / "step-4" / "best"

    async def save_anew():
        await training.save(9, loss=0.1, path=training.directory / "step-3")
        await training.save(10, loss=0.2, path=inside)

    before(monkeypatch, save_anew)
    cleaned = await training.clean()
    assert [Path(path).name for path in cleaned.deleted] == ["step-2"]
    assert training.on_disk() == ["step-1", "step-3", "step-4", "step-5", "step-6"]
    assert inside.exists()
    states = await training.states()
    assert (states[9], states[10], states[2]) == ("complete", "complete", "deleted")


async def test_one_that_is_reported_anew_while_its_files_are_removed_is_complete_no_more(training, monkeypatch):
    for step in (1, 2, 3, 4):
        await training.save(step, loss=step)
    before(monkeypatch, lambda: training.save(9, loss=0.1, path=training.directory / "step-2"))
    await training.clean()
    assert training.on_disk() == ["step-1", "step-3", "step-4"]
    assert (await training.states())[9] == "invalid"
    (lost,) = (await checkpoints.list_page(training.pool, states=["invalid"], pipeline=training.pipeline.uuid)).items
    assert lost.reason == "a clean-up removed its files while it was written anew"


async def test_one_that_is_written_whole_right_after_the_removal_lives(training, monkeypatch):
    for step in (1, 2, 3, 4):
        await training.save(step, loss=step)
    lexists = os.path.lexists
    loop = asyncio.get_running_loop()

    def save_and_look(path):
        asyncio.run_coroutine_threadsafe(training.save(9, path=path), loop).result()
        return lexists(path)

    monkeypatch.setattr(os.path, "lexists", save_and_look)
    await training.clean()
    assert (await training.states())[9] == "complete"


async def test_two_clean_ups_at_once_do_not_disturb_each_other(training):
    for step in range(1, 12):
        await training.save(step, loss=step)
    await asyncio.gather(*(training.clean() for _ in range(3)))
    assert training.on_disk() == ["step-1", "step-10", "step-11"]
    assert sorted((await training.states()).values()) == ["complete"] * 3 + ["deleted"] * 8


OLD = Rule(best_n=1, metric="loss", keep_last=True)


async def end(training):
    await training.worker.report(ending(training.claim), ending(training.other))
    await training.pipeline.release()
    assert await training.pipeline.status() == "completed"


async def retain(training, rule=OLD, *, older_than_s=-1):
    return await retention.cleanup_old_checkpoints(
        training.pool, training.data_dir, older_than_s=older_than_s, rule=rule
    )


async def test_of_old_pipelines_the_best_the_last_and_the_pinned_of_each_stage_are_kept(training):
    for step in range(1, 6):
        await training.save(step, loss=step)
    await training.pin(3)
    assert await retain(training) == retention.Retained()
    await end(training)
    assert await retain(training, older_than_s=3_600) == retention.Retained()
    assert await retain(training) == retention.Retained(pipelines=1, deleted=2, freed_bytes=6)
    assert training.on_disk() == ["step-1", "step-3", "step-5"]


async def test_an_old_pipeline_is_judged_once_and_again_when_a_pin_or_the_rule_changes(training):
    for step in range(1, 6):
        await training.save(step, loss=step)
    await end(training)
    pinned = await training.pin(3)
    assert (await retain(training)).deleted == 2
    assert (await retain(training)).pipelines == 0
    await checkpoints.pin(training.pool, pinned.id, pinned=False)
    assert (await retain(training)).deleted == 1
    assert (await retain(training)).pipelines == 0
    assert (await retain(training, Rule(best_n=2, metric="loss"))).pipelines == 1
    assert (await retain(training, Rule(best_n=1, metric="loss"))).deleted == 1
    assert training.on_disk() == ["step-1"]


async def test_the_hourly_task_does_what_the_settings_say(training, tmp_path):
    for step in range(1, 6):
        await training.save(step, loss=step)
    await end(training)
    (hourly,) = (task for task in PERIODIC if task.name == "cleanup_old_checkpoints")
    wanted = {"checkpoint_keep_best": 2, "checkpoint_metric": "loss", "checkpoint_metric_mode": "max"}
    young = Settings(data_dir=tmp_path, **wanted)
    old = young.model_copy(update={"checkpoint_retention_days": 1e-9})
    assert await hourly.run(SimpleNamespace(pool=training.pool, settings=young)) == 0
    assert await hourly.run(SimpleNamespace(pool=training.pool, settings=old)) == 3
    assert training.on_disk() == ["step-4", "step-5"]


async def test_old_checkpoints_that_do_not_report_the_metric_are_kept_and_counted(training):
    for step in range(1, 4):
        await training.save(step)
    await end(training)
    assert await retain(training) == retention.Retained(pipelines=1, undecided=1)
    assert len(training.on_disk()) == 3


async def test_what_another_clean_up_has_left_half_deleted_is_finished_at_once_whatever_runs(training):
    for step in range(1, 5):
        await training.save(step, loss=step)
    (training.directory / "step-2").rename(training.directory / ".trash-x")
    await training.pool.execute("UPDATE checkpoints SET state = 'deleting' WHERE step <= 2")
    assert (await retain(training, older_than_s=3_600)).deleted == 2
    assert training.on_disk() == [".trash-x", "step-3", "step-4"]
    assert (await training.states())[2] == "deleted"


async def test_files_that_cannot_be_removed_do_not_keep_other_pipelines_from_being_cleaned(training, monkeypatch):
    trainings = [training]
    for _ in range(2):
        pipeline = await submit(training.pool, PAIR)
        claim, other = await training.worker.claim(pipeline, "a", "b")
        trainings.append(Training(training.pool, training.data_dir, pipeline, claim))
        trainings[-1].worker, trainings[-1].other = training.worker, other
    for each in trainings:
        for step in range(1, 4):
            await each.save(step, loss=step)
        await end(each)
    remove = retention.remove

    def refuse(root, steps, mark):
        if steps[0] == str(trainings[1].pipeline.uuid):
            raise PermissionError("not yours")
        remove(root, steps, mark)

    monkeypatch.setattr(retention, "remove", refuse)
    assert await retain(training) == retention.Retained(pipelines=2, deleted=2, freed_bytes=4, failed=1)
    monkeypatch.setattr(retention, "remove", remove)
    assert (await retain(training)).deleted == 1
    assert trainings[1].on_disk() == ["step-1", "step-3"]


@asynccontextmanager
async def dying(*arguments):
    """A clean-up that dies after so many lines: ``await die(3)`` tells whether it was killed."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # where a planted defect is
    environment = {**os.environ, "PYTHONPATH": path}
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, str(ROOT / "tests/services/dying_cleanup.py"), *map(str, arguments)]
    program = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment)

    async def die(lines):
        program.stdin.write(b"%d\n" % lines)
        answer = (await program.stdout.readline()).decode().strip()
        assert answer in {"killed", "done"}
        return answer == "killed"

    yield die
    program.stdin.close()
    await program.wait()


async def test_a_clean_up_killed_at_any_line_loses_nothing_that_is_kept_and_the_next_one_finishes(
    training, database_url, tmp_path
):
    await training.save(1, loss=1)
    await training.save(2, loss=2)
    await training.save(3, loss=3, kind="file")
    await training.save(4, loss=4)
    await training.save(5, loss=5)
    saved = tmp_path / "saved"
    shutil.copytree(training.directory, saved)

    def whole(name):
        path, copy = training.directory / name, saved / name
        return path.exists() and (
            path.is_file() or sorted(p.name for p in path.iterdir()) == sorted(p.name for p in copy.iterdir())
        )

    lines, begun = 0, set()
    async with dying(database_url, tmp_path, training.pipeline.uuid) as die:
        while await die(lines):
            for step, state in (await training.states()).items():
                name = f"step-{step}"
                assert state == "complete" if step in {1, 4, 5} else state in {"complete", "deleting", "deleted"}
                assert whole(name) or state != "complete"
                assert whole(name) or not (training.directory / name).exists()
                assert not (state == "deleted" and (training.directory / name).exists())
                begun.add((step, state, whole(name)))
            await training.clean()
            assert training.on_disk() == ["step-1", "step-4", "step-5"]
            assert set((await training.states()).items()) >= {(2, "deleted"), (3, "deleted")}
            await training.pool.execute("UPDATE checkpoints SET state = 'complete'")
            shutil.rmtree(training.directory)
            shutil.copytree(saved, training.directory)
            lines += 1
    # It did die at each place between the judgement and the end.
    assert begun >= {(s, *how) for s in (2, 3) for how in [("complete", True), ("deleting", True), ("deleting", False)]}
    assert lines > 100
