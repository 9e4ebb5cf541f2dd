"""A training that is killed twenty times, anywhere, ends as if it had been left alone."""

import random
import signal
import time
from pathlib import Path

from workers.contract import fault_of
from workers.training.checkpoints import load

KILLS = 20
PARAMS = {"epochs": 60, "batch_size": 16, "hidden": [16]}


def weights(attempt):
    manifest = load(Path(attempt.result["last_checkpoint"])).manifest
    return manifest.files["state.npz"].sha256, manifest.step


def newest_whole(directory):
    """The checkpoint that a worker would hand to the next attempt, of all that lie there."""
    return next((path for path in sorted(directory.glob("step-*"), reverse=True) if fault_of(path, 0) is None), "")


def test_a_training_killed_at_twenty_random_points_ends_with_the_same_weights_bit_for_bit(
    start, finish, digits, tmp_path
):
    params, chance = {"dataset": digits, **PARAMS}, random.Random(20)
    alone = finish("train_model", params)
    params["epoch_delay_s"] = 0.02  # so that there is always something left to kill
    began_at, kills = [], 0
    while True:
        resume_from = newest_whole(tmp_path)
        attempt = start("train_model", params, checkpoint_dir=tmp_path, resume_from=resume_from)
        if kills < KILLS:
            # Anywhere: while it starts, in the middle of an epoch, or while it writes a checkpoint.
            attempt.wait_for(*chance.choice([("phase", 1), ("phase", 2), ("metrics", 1), ("checkpoint", 1)]))
            time.sleep(chance.random() * 0.03)
            attempt.process.send_signal(signal.SIGKILL)
        exit_code = attempt.wait()
        if resume_from and {"type": "phase", "name": "train"} in attempt.of_type("phase"):
            assert f"resumed from {resume_from}" in attempt.log
            began_at.append(load(resume_from).manifest.step)
        if exit_code == 0 and kills == KILLS:
            break
        assert exit_code == -signal.SIGKILL, attempt.log
        kills += 1
    assert began_at == sorted(began_at)
    assert len(set(began_at)) > 3
    assert weights(attempt) == weights(alone)
    assert {**attempt.result, "checkpoints": 0, "best_checkpoint": 0, "last_checkpoint": 0} == {
        **alone.result,
        "checkpoints": 0,
        "best_checkpoint": 0,
        "last_checkpoint": 0,
    }
