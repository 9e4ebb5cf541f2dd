"""The program of ``run_evaluation``: how good a checkpoint is on rows that its training never saw."""

import logging
import sys
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.training import ClassScore, EvaluationParams, EvaluationResult
from workers.training import checkpoints, model, run
from workers.training.artifact import Torn
from workers.training.checkpoints import Checkpoint
from workers.training.dataset import Dataset, open_dataset
from workers.training.run import NotRetryable

log = logging.getLogger(__name__)


def evaluate() -> None:
    """Score as the params say; the result also goes to ``evaluation.json`` in the run directory."""
    params = msgspec.convert(run.params(), EvaluationParams)
    run.phase("data")
    dataset = open_dataset(params.dataset)
    checkpoint = open_checkpoint(params.checkpoint, dataset)
    run.phase("evaluate")
    with model.exact_arithmetic():
        confusion = confusion_matrix(checkpoint, dataset, params.split)
    result = score(confusion, dataset.manifest.classes, params)
    evaluation = msgspec.to_builtins(result)
    (run.run_dir() / "evaluation.json").write_bytes(msgspec.json.format(msgspec.json.encode(evaluation), indent=2))
    log.info("accuracy %.4f, macro F1 %.4f on %d samples", result.accuracy, result.macro_f1, result.samples)
    run.progress(step=1, total=1)
    run.result(**evaluation)


def open_checkpoint(path: str, dataset: Dataset) -> Checkpoint:
    """Read a checkpoint that fits the dataset.

    Raises:
        NotRetryable: it is not whole, or was trained on other features or classes.

    """
    try:
        checkpoint = checkpoints.load(Path(path))
    except Torn as torn:
        raise NotRetryable(f"{path} is no checkpoint that could be used: {torn}") from torn
    for what in ("features", "classes"):
        if getattr(checkpoint.manifest, what) != getattr(dataset.manifest, what):
            raise NotRetryable(f"checkpoint {path} was trained on other {what} than {dataset.directory} has")
    return checkpoint


def confusion_matrix(checkpoint: Checkpoint, dataset: Dataset, split: str) -> NDArray[np.int64]:
    """Return how often each class (row) was taken for each (column)."""
    samples = dataset.split(split)
    parameters = {name: array for name, array in checkpoint.arrays.items() if name.startswith(("weight_", "bias_"))}
    features = model.standardise(samples.features, checkpoint.arrays["mean"], checkpoint.arrays["spread"])
    predicted = model.log_probabilities(parameters, features).argmax(axis=1)
    classes = len(dataset.manifest.classes)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (samples.labels, predicted), 1)
    return confusion


def score(confusion: NDArray[np.int64], classes: list[str], params: EvaluationParams) -> EvaluationResult:
    """Return accuracy and per-class scores; what nothing was predicted for scores 0."""
    right, true, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    precision = right / np.maximum(predicted, 1)
    recall = right / np.maximum(true, 1)
    f1 = 2 * right / np.maximum(true + predicted, 1)
    return EvaluationResult(
        accuracy=float(right.sum() / confusion.sum()),
        macro_f1=float(f1.mean()),
        confusion_matrix=confusion.tolist(),
        per_class=[
            ClassScore(name=name, precision=float(p), recall=float(r), f1=float(f), support=int(support))
            for name, p, r, f, support in zip(classes, precision, recall, f1, true, strict=True)
        ],
        samples=int(confusion.sum()),
        split=params.split,
        checkpoint=params.checkpoint,
    )


if __name__ == "__main__":
    sys.exit(run.main(evaluate))
