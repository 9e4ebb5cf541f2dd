"""`run_evaluation` scores a checkpoint on rows that its training never saw."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix

from workers.training import model
from workers.training.checkpoints import load
from workers.training.dataset import open_dataset


@pytest.fixture(scope="module")
def evaluated(finish, digits, trained):
    return finish("run_evaluation", {"dataset": digits, "checkpoint": trained.result["best_checkpoint"]})


def test_the_digits_are_told_apart_on_the_held_out_rows(evaluated, trained):
    result = evaluated.result
    assert result["accuracy"] >= 0.95
    assert result["macro_f1"] >= 0.95
    assert result["samples"] == 359
    assert result["split"] == "test"
    assert result["checkpoint"] == trained.result["best_checkpoint"]
    assert json.loads((evaluated.run_dir / "evaluation.json").read_bytes()) == result


def test_the_scores_are_those_of_scikit_learn(evaluated, digits, trained):
    samples = open_dataset(digits).split("test")
    arrays = load(Path(trained.result["best_checkpoint"])).arrays
    parameters = {name: array for name, array in arrays.items() if name.startswith(("weight_", "bias_"))}
    features = model.standardise(samples.features, arrays["mean"], arrays["spread"])
    predicted = np.argmax(model.log_probabilities(parameters, features), axis=1)
    report = classification_report(samples.labels, predicted, output_dict=True)
    result = evaluated.result
    assert result["accuracy"] == accuracy_score(samples.labels, predicted)
    assert result["macro_f1"] == pytest.approx(report["macro avg"]["f1-score"])
    assert result["confusion_matrix"] == confusion_matrix(samples.labels, predicted).tolist()
    for score in result["per_class"]:
        expected = report[score["name"]]
        assert score["precision"] == pytest.approx(expected["precision"])
        assert score["recall"] == pytest.approx(expected["recall"])
        assert score["f1"] == pytest.approx(expected["f1-score"])
        assert score["support"] == expected["support"]


def test_another_split_can_be_scored(finish, digits, trained):
    params = {"dataset": digits, "checkpoint": trained.result["best_checkpoint"], "split": "val"}
    best = next(saved for saved in trained.result["checkpoints"] if saved["path"] == params["checkpoint"])
    assert finish("run_evaluation", params).result["accuracy"] == best["val_accuracy"]


def test_what_is_no_whole_checkpoint_is_refused(finish, digits, tmp_path):
    attempt = finish("run_evaluation", {"dataset": digits, "checkpoint": str(tmp_path)}, exit_code=1)
    assert f"{tmp_path} is no checkpoint that could be used" in attempt.error["message"]
    assert attempt.error["retryable"] is False


def test_a_checkpoint_of_another_dataset_is_refused(finish, trained, tmp_path):
    (tmp_path / "table.csv").write_text("x,label\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(20)))
    other = finish("preprocess_dataset", {"dataset": str(tmp_path / "table.csv")}).result["dataset"]
    params = {"dataset": other, "checkpoint": trained.result["best_checkpoint"]}
    attempt = finish("run_evaluation", params, exit_code=1)
    assert "was trained on other features than" in attempt.error["message"]
