"""Learning, batch by batch, without any input or output.

The only position is the number of batches done. The order of the samples in an epoch follows from the seed and the
epoch alone, so a position needs no random state, and learning that is taken up again at any batch ends with the same
weights, bit for bit, as learning that was left alone.
"""

import math

import numpy as np

from schemas.training import TrainParams
from workers.training import model
from workers.training.dataset import Split
from workers.training.model import Array
from workers.training.run import NotRetryable


class Learner:
    """A model on its way through the epochs of a training."""

    def __init__(self, params: TrainParams, train: Split, val: Split, *, classes: int) -> None:
        self.params = params
        self.mean = train.features.mean(axis=0)
        spread = train.features.std(axis=0)
        self.spread = np.where(spread > 0, spread, 1.0)
        self.train = Split(model.standardise(train.features, self.mean, self.spread), train.labels)
        self.val = Split(model.standardise(val.features, self.mean, self.spread), val.labels)
        self.batches = math.ceil(len(train.labels) / params.batch_size)
        self.steps = self.batches * params.epochs

        self.step = 0
        self.loss_sum = 0.0
        sizes = [train.features.shape[1], *params.hidden, classes]
        self.parameters = model.initialise(sizes, np.random.default_rng((params.seed, 0)))
        self.velocity = {name: np.zeros_like(parameter) for name, parameter in self.parameters.items()}
        self.order = self._order()

    @property
    def epoch(self) -> int:
        """Complete epochs."""
        return self.step // self.batches

    @property
    def at_epoch_end(self) -> bool:
        """Whether the last batch was the last one of its epoch."""
        return self.step % self.batches == 0

    def arrays(self) -> dict[str, Array]:
        """Return everything that was learnt, and what is needed to use it or to learn on."""
        velocity = {f"velocity_{name}": velocity for name, velocity in self.velocity.items()}
        return {"mean": self.mean, "spread": self.spread} | self.parameters | velocity

    def restore(self, arrays: dict[str, Array], *, step: int, loss_sum: float) -> None:
        """Go to the position where ``arrays`` were taken."""
        for name in self.parameters:
            self.parameters[name] = arrays[name]
            self.velocity[name] = arrays[f"velocity_{name}"]
        self.step, self.loss_sum = step, loss_sum
        self.order = self._order()

    def learn_batch(self) -> None:
        """Learn from the next batch.

        Raises:
            NotRetryable: the loss is no longer finite.

        """
        if self.at_epoch_end:
            self.loss_sum, self.order = 0.0, self._order()
        first = self.step % self.batches * self.params.batch_size
        rows = self.order[first : first + self.params.batch_size]
        loss, slopes = model.gradients(self.parameters, self.train.features[rows], self.train.labels[rows])
        self.step += 1
        self._refuse_divergence(loss)
        self.loss_sum += loss * len(rows)
        rate, decay = self.params.learning_rate, self.params.weight_decay
        model.descend(self.parameters, self.velocity, slopes, learning_rate=rate, weight_decay=decay)

    def validate(self) -> dict[str, float]:
        """Return the scores of the epoch that has just ended.

        Raises:
            NotRetryable: the loss is no longer finite.

        """
        predicted = model.log_probabilities(self.parameters, self.val.features)
        val_loss = model.mean_loss(predicted, self.val.labels)
        self._refuse_divergence(val_loss)
        return {
            "train_loss": self.loss_sum / len(self.train.labels),
            "val_loss": val_loss,
            "val_accuracy": float((predicted.argmax(axis=1) == self.val.labels).mean()),
        }

    def _order(self) -> np.ndarray:
        chance = np.random.default_rng((self.params.seed, self.epoch + 1))
        return chance.permutation(len(self.train.labels))

    def _refuse_divergence(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise NotRetryable(
                f"the loss became {loss} after {self.step} batches of {self.params.batch_size}: "
                f"try a learning_rate below {self.params.learning_rate}",
            )
