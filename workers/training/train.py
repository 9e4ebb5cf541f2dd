"""The program of ``train_model``: the reference trainer.

It may be killed or stopped at any moment: the next attempt goes on from the last checkpoint, and the weights at the
end are those of a training that was left alone.
"""

import logging
import sys
import time
from pathlib import Path
from typing import NoReturn

import msgspec

from schemas.training import SavedCheckpoint, TrainParams, TrainResult
from workers.training import checkpoints, model, run
from workers.training.dataset import Dataset, open_dataset
from workers.training.learner import Learner
from workers.training.run import NotRetryable

SAVED_MAX = 100
PROGRESS_INTERVAL_S = 1.0

log = logging.getLogger(__name__)


def train() -> None:
    """Train as the params say, from the checkpoint of an earlier attempt if there is one."""
    run.catch_sigterm()
    params = msgspec.convert(run.params(), TrainParams)
    if params.config:
        raise NotRetryable("config is for a program of your own (entrypoint); the reference trainer cannot use it")
    run.phase("data")
    with model.exact_arithmetic():
        trainer = Trainer(params, open_dataset(params.dataset))
        trainer.resume()
        run.phase("train")
        trainer.finish()
    run.result(**msgspec.to_builtins(trainer.result()))


class Trainer:
    """Drives a learner: asks for checkpoints, reports, stops on request."""

    def __init__(self, params: TrainParams, dataset: Dataset) -> None:
        self.params = params
        self.manifest = dataset.manifest
        classes = len(dataset.manifest.classes)
        self.learner = Learner(params, dataset.split("train"), dataset.split("val"), classes=classes)
        self.metrics: dict[str, float] = {}
        self.saved: list[SavedCheckpoint] = []
        self.last_checkpoint: Path | None = None
        self.saved_step = self.first_step = 0
        self.started = self.reported = time.monotonic()

    @property
    def identity(self) -> dict[str, object]:
        """What two trainings must share for one to continue the other; the number of epochs may differ."""
        params = {name: getattr(self.params, name) for name in ("learning_rate", "batch_size", "seed", "weight_decay")}
        files = {name: file.sha256 for name, file in self.manifest.files.items()}
        return params | files | {"hidden": list(self.params.hidden)}

    def resume(self) -> None:
        """Go to where the last usable checkpoint was written."""
        newest = run.resume_from()
        if newest is None:
            return
        checkpoint = checkpoints.newest_usable(newest, self.identity)
        if checkpoint is None:
            log.warning("no checkpoint is usable: the training starts afresh")
            return
        was = checkpoint.manifest
        self.learner.restore(checkpoint.arrays, step=was.step, loss_sum=was.loss_sum)
        self.metrics = was.metrics
        self.saved = [saved for saved in was.saved if Path(saved.path).is_dir()]
        self.last_checkpoint = checkpoint.path
        self.saved_step = self.first_step = was.step
        log.info("resumed from %s at batch %d of %d", checkpoint.path, was.step, self.learner.steps)

    def finish(self) -> None:
        """Learn what is left, epoch by epoch."""
        while self.learner.step < self.learner.steps:
            if run.should_stop():
                self._stop()
            self.learner.learn_batch()
            if self.learner.at_epoch_end:
                self._end_epoch()
            elif time.monotonic() - self.reported > PROGRESS_INTERVAL_S:
                self._report_progress()

    def result(self) -> TrainResult:
        """Return what was reached."""
        best = self.saved[0]
        return TrainResult(
            epochs=self.learner.epoch,
            **self.metrics,
            best_checkpoint=best.path,
            best_epoch=best.epoch,
            last_checkpoint=str(self.last_checkpoint),
            checkpoints=self.saved,
        )

    def _end_epoch(self) -> None:
        learner, epoch = self.learner, self.learner.epoch
        self.metrics = learner.validate()
        run.metrics(learner.step, **self.metrics)
        scores = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        log.info("epoch %d of %d: %s", epoch, self.params.epochs, scores)
        if epoch % self.params.checkpoint_every == 0 or learner.step == learner.steps:
            self._save()
        self._report_progress()
        run.wait(self.params.epoch_delay_s)

    def _save(self) -> None:
        learner = self.learner
        path = checkpoints.path_of(run.checkpoint_dir(), learner.step)
        metrics = self.metrics if learner.at_epoch_end else {}
        if metrics:
            scores = {name: metrics[name] for name in ("val_loss", "val_accuracy")}
            saved = SavedCheckpoint(path=str(path), step=learner.step, epoch=learner.epoch, **scores)
            self.saved = sorted([*self.saved, saved], key=lambda saved: (saved.val_loss, saved.step))[:SAVED_MAX]
        about = {
            "identity": self.identity,
            "features": self.manifest.features,
            "classes": self.manifest.classes,
            "step": learner.step,
            "loss_sum": learner.loss_sum,
            "metrics": metrics,
            "saved": self.saved,
        }
        checkpoints.save(path, learner.arrays(), about)
        run.checkpoint(path, learner.step, metrics)
        self.last_checkpoint, self.saved_step = path, learner.step

    def _stop(self) -> NoReturn:
        if self.learner.step > self.saved_step:
            self._save()
        log.info("stopped on request at batch %d of %d", self.learner.step, self.learner.steps)
        run.leave()

    def _report_progress(self) -> None:
        step, steps, epoch = self.learner.step, self.learner.steps, self.learner.epoch
        self.reported = time.monotonic()
        pace_s = (self.reported - self.started) / (step - self.first_step)
        run.progress(step=step, total=steps, epoch=epoch, eta_s=round(pace_s * (steps - step), 1))


if __name__ == "__main__":
    sys.exit(run.main(train))
