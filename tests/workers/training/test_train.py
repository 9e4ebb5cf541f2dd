"""`train_model` learns, says what it does, and does what its params say."""

import math
from pathlib import Path

from workers.training.checkpoints import complete, load


def final_weights(attempt) -> str:
    """The digest of the last checkpoint's arrays."""
    return load(Path(attempt.result["last_checkpoint"])).manifest.files["state.npz"].sha256


def test_the_defaults_learn_the_digits_and_report_every_epoch(trained):
    epochs = trained.of_type("metrics")
    assert len(epochs) == 30
    assert epochs[-1]["values"]["train_loss"] < epochs[0]["values"]["train_loss"] / 10
    assert trained.result["val_accuracy"] > 0.95
    assert [progress["epoch"] for progress in trained.of_type("progress")] == list(range(1, 31))
    last = trained.of_type("progress")[-1]
    assert last["step"] == last["total"] == 30 * math.ceil(1259 / 32)
    assert last["eta_s"] == 0


def test_the_result_names_the_best_of_the_checkpoints_it_reported(trained):
    reported = trained.of_type("checkpoint")
    best = min(reported, key=lambda checkpoint: checkpoint["metrics"]["val_loss"])
    assert trained.result["best_checkpoint"] == best["path"]
    assert trained.result["last_checkpoint"] == reported[-1]["path"]
    assert all(checkpoint["bytes"] > 100_000 for checkpoint in reported)
    assert {saved["path"] for saved in trained.result["checkpoints"]} == {report["path"] for report in reported}
    assert [str(path) for path in complete(trained.checkpoint_dir)] == [report["path"] for report in reported]


def test_epochs_batch_size_and_checkpoint_every_are_honoured(finish, digits):
    params = {"dataset": digits, "epochs": 5, "batch_size": 100, "checkpoint_every": 2}
    attempt = finish("train_model", params)
    assert [report["step"] for report in attempt.of_type("metrics")] == [13, 26, 39, 52, 65]
    assert [report["step"] for report in attempt.of_type("checkpoint")] == [26, 52, 65]
    assert attempt.result["epochs"] == 5


def test_the_same_params_give_the_same_bits_and_every_param_counts(finish, digits):
    short = {"dataset": digits, "epochs": 1}
    others = [{}, {"seed": 1}, {"learning_rate": 0.04}, {"hidden": [16, 8]}]
    first = final_weights(finish("train_model", short))
    again, *different = [final_weights(finish("train_model", short | other)) for other in others]
    assert again == first
    assert len({first, *different}) == 4


def test_a_diverging_training_ends_with_advice_and_no_retry(finish, digits):
    attempt = finish("train_model", {"dataset": digits, "learning_rate": 1000}, exit_code=1)
    assert "the loss became nan after 5" in attempt.error["message"]
    assert "try a learning_rate below 1000" in attempt.error["message"]
    assert attempt.error["retryable"] is False
    assert not attempt.of_type("result")


def test_a_changed_dataset_file_is_refused(finish, prepared, tmp_path):
    copy = tmp_path / "dataset"
    copy.mkdir()
    for file in Path(prepared.result["dataset"]).iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with (copy / "val.parquet").open("ab") as file:
        file.write(b"\0")
    attempt = finish("train_model", {"dataset": str(copy)}, exit_code=1)
    assert "val.parquet is not the file that its manifest describes" in attempt.error["message"]


def test_a_directory_that_was_not_prepared_is_refused(finish, tmp_path):
    attempt = finish("train_model", {"dataset": str(tmp_path)}, exit_code=1)
    assert f"{tmp_path} is not a dataset that preprocess_dataset prepared" in attempt.error["message"]


def test_params_of_an_own_program_are_not_silently_ignored(finish, digits):
    attempt = finish("train_model", {"dataset": digits, "config": {"dropout": 0.1}}, exit_code=1)
    assert "config is for a program of your own" in attempt.error["message"]


def test_a_full_disk_for_events_costs_reports_but_never_looks_like_success(finish, digits):
    attempt = finish("train_model", {"dataset": digits, "epochs": 2}, exit_code=1, events="/dev/full")
    assert "a metrics report is lost: [Errno 28] No space left on device" in attempt.log
    assert len(complete(attempt.checkpoint_dir)) == 2


OWN_PROGRAM = """
import json, os
with open(os.environ["HEADWAY_PARAMS"]) as file:
    params = json.load(file)
with open(os.environ["HEADWAY_EVENTS"], "a") as events:
    events.write(json.dumps({"type": "result", "values": {"depth": params["config"]["depth"]}}) + "\\n")
"""


def test_an_own_program_finds_its_params_and_sets_the_result(finish, digits):
    params = {"dataset": digits, "entrypoint": ["python3", "-c", OWN_PROGRAM], "config": {"depth": 3}}
    assert finish("train_model", params).result == {"depth": 3}
