"""However a training is interrupted, the next attempt ends with the weights of one that was left alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from schemas.training import TrainParams
from workers.training.checkpoints import complete, load, newest_usable
from workers.training.dataset import open_dataset
from workers.training.learner import Learner


def final_state(attempt) -> tuple[str, int]:
    """Digest of every weight and velocity after the last batch, and the number of batches."""
    manifest = load(Path(attempt.result["last_checkpoint"])).manifest
    return manifest.files["state.npz"].sha256, manifest.step


def test_sigterm_twice_writes_a_checkpoint_in_the_middle_of_an_epoch_and_exits_85(start, finish, digits):
    params = {"dataset": digits, "batch_size": 1, "epochs": 3}
    alone = finish("train_model", params)
    attempt = start("train_model", params)
    attempt.wait_for("metrics")
    attempt.process.terminate()
    attempt.process.terminate()
    assert attempt.wait() == 85, attempt.log
    stopped = attempt.of_type("checkpoint")[-1]
    assert 1259 <= stopped["step"] < 3 * 1259
    assert not attempt.of_type("result")
    resumed = finish("train_model", params, resume_from=stopped["path"])
    assert f"resumed from {stopped['path']}" in resumed.log
    assert final_state(resumed) == final_state(alone)
    assert resumed.result["train_loss"] == alone.result["train_loss"]


def test_sigterm_during_a_pause_is_heard_at_once(start, digits):
    attempt = start("train_model", {"dataset": digits, "epoch_delay_s": 600})
    attempt.wait_for("progress")
    attempt.process.terminate()
    assert attempt.wait() == 85
    assert len(attempt.of_type("checkpoint")) == 1


@pytest.mark.parametrize("batch", [1, 12, 13, 14, 38, 39])
def test_learning_taken_up_at_any_batch_gives_the_same_bits(batch, digits):
    params = TrainParams(dataset=digits, epochs=3, batch_size=100)
    dataset = open_dataset(digits)
    splits = dataset.split("train"), dataset.split("val")

    def learner() -> Learner:
        return Learner(params, *splits, classes=10)

    def learn(learner: Learner, until: int) -> Learner:
        while learner.step < until:
            learner.learn_batch()
        return learner

    first = learn(learner(), batch)
    second = learner()
    second.restore(first.arrays(), step=first.step, loss_sum=first.loss_sum)
    resumed, alone = learn(second, 39), learn(learner(), 39)
    assert all(np.array_equal(array, alone.arrays()[name]) for name, array in resumed.arrays().items())
    assert resumed.validate() == alone.validate()


def tear(checkpoint: Path, how: str) -> None:
    state = checkpoint / "state.npz"
    match how:
        case "truncated":
            state.write_bytes(state.read_bytes()[:1000])
        case "flipped bit":
            content = bytearray(state.read_bytes())
            content[len(content) // 2] ^= 1
            state.write_bytes(content)
        case "no manifest":
            (checkpoint / "manifest.json").unlink()
        case "torn manifest":
            (checkpoint / "manifest.json").write_text('{"step": 4')
        case "no file":
            state.unlink()


@pytest.fixture
def copies(trained, tmp_path) -> list[Path]:
    """The last three checkpoints of a training, to be damaged."""
    for path in complete(trained.checkpoint_dir)[-3:]:
        shutil.copytree(path, tmp_path / path.name)
    return complete(tmp_path)


@pytest.mark.parametrize("how", ["truncated", "flipped bit", "no manifest", "torn manifest", "no file"])
def test_a_torn_checkpoint_is_not_complete_and_the_one_before_is_used(how, copies):
    tear(copies[-1], how)
    assert complete(copies[0].parent) == copies[:-1]
    usable = newest_usable(copies[-1], load(copies[0]).manifest.identity)
    assert usable is not None
    assert usable.path == copies[-2]


def test_a_checkpoint_newer_than_the_one_to_resume_from_is_never_used(copies):
    tear(copies[1], "truncated")
    usable = newest_usable(copies[1], load(copies[0]).manifest.identity)
    assert usable is not None
    assert usable.path == copies[0]


def test_a_training_passes_torn_checkpoints_over_and_says_so(finish, digits, trained, copies):
    tear(copies[-1], "truncated")
    tear(copies[-2], "no manifest")
    attempt = finish("train_model", {"dataset": digits}, resume_from=copies[-1])
    assert f"checkpoint {copies[-1]} is passed over: " in attempt.log
    assert f"checkpoint {copies[-2]} is passed over: " in attempt.log
    assert f"resumed from {copies[-3]}" in attempt.log
    condemned = [line["path"] for line in attempt.of_type("checkpoint") if line.get("state") == "invalid"]
    assert condemned == [str(copies[-1]), str(copies[-2])]
    assert len(attempt.of_type("metrics")) == 2
    assert final_state(attempt) == final_state(trained)


def test_without_any_usable_checkpoint_the_training_starts_afresh_and_says_so(finish, digits, copies):
    for checkpoint in copies:
        tear(checkpoint, "truncated")
    attempt = finish("train_model", {"dataset": digits, "epochs": 2}, resume_from=copies[-1])
    assert "no checkpoint is usable: the training starts afresh" in attempt.log
    assert len(attempt.of_type("metrics")) == 2


def test_a_checkpoint_of_another_training_is_not_continued(finish, digits, trained):
    params = {"dataset": digits, "epochs": 1, "hidden": [16]}
    attempt = finish("train_model", params, resume_from=trained.result["last_checkpoint"])
    assert "it belongs to a training with other data or params" in attempt.log
    assert attempt.result["epochs"] == 1


def test_more_epochs_continue_a_finished_training(finish, digits, trained):
    short = finish("train_model", {"dataset": digits, "epochs": 28})
    longer = finish("train_model", {"dataset": digits}, resume_from=short.result["last_checkpoint"])
    assert len(longer.of_type("metrics")) == 2
    assert final_state(longer) == final_state(trained)
