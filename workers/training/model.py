"""A multilayer perceptron in plain numpy: ReLU layers, softmax cross-entropy, stochastic gradient descent.

Small on purpose, and deterministic: the same numbers in give the same bits out, which is what makes an interrupted
training resume exactly where it was. Parameters are ``weight_i`` (inputs x outputs) and ``bias_i`` (outputs).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Parameters = dict[str, Array]

MOMENTUM = 0.9
DEVIATIONS_MAX = 3.0
"""Standardised features are cut off here, so that one odd value does not drown a sample."""


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Calculate in one thread, so that sums are added up in the same order whatever the machine's cores.

    A stage takes one core that way, too. Overflows give no warning: whoever learns looks at the loss.
    """
    with threadpool_limits(limits=1), np.errstate(over="ignore", invalid="ignore"):
        yield


def standardise(features: Array, mean: Array, spread: Array) -> Array:
    """Bring every feature to mean 0 and standard deviation 1, outliers cut off."""
    return np.clip((features - mean) / spread, -DEVIATIONS_MAX, DEVIATIONS_MAX)


def initialise(layer_sizes: list[int], chance: np.random.Generator) -> Parameters:
    """Return fresh parameters for layers of these sizes, inputs first and classes last."""
    parameters: Parameters = {}
    for layer, (inputs, outputs) in enumerate(pairwise(layer_sizes)):
        parameters[f"weight_{layer}"] = chance.normal(scale=np.sqrt(2 / inputs), size=(inputs, outputs))
        parameters[f"bias_{layer}"] = np.zeros(outputs)
    return parameters


def log_probabilities(parameters: Parameters, features: Array) -> Array:
    """Return the logarithm of each class's probability, samples x classes."""
    return _log_softmax(_activations(parameters, features)[-1])


def mean_loss(log_probability: Array, labels: Labels) -> float:
    """Return the mean cross-entropy."""
    return float(-log_probability[np.arange(len(labels)), labels].mean())


def gradients(parameters: Parameters, features: Array, labels: Labels) -> tuple[float, Parameters]:
    """Return the mean loss of a batch and its derivative by every parameter."""
    activations = _activations(parameters, features)
    log_probability = _log_softmax(activations[-1])
    signal = np.exp(log_probability)
    signal[np.arange(len(labels)), labels] -= 1
    signal /= len(labels)
    slopes: Parameters = {}
    for layer in reversed(range(_layers(parameters))):
        slopes[f"weight_{layer}"] = activations[layer].T @ signal
        slopes[f"bias_{layer}"] = signal.sum(axis=0)
        if layer > 0:
            signal = (signal @ parameters[f"weight_{layer}"].T) * (activations[layer] > 0)
    return mean_loss(log_probability, labels), slopes


def descend(
    parameters: Parameters,
    velocity: Parameters,
    slopes: Parameters,
    *,
    learning_rate: float,
    weight_decay: float,
) -> None:
    """Move ``parameters`` and their ``velocity`` one step down the slopes, in place."""
    for name, slope in slopes.items():
        decay = weight_decay * parameters[name] if name.startswith("weight") else 0.0
        velocity[name] *= MOMENTUM
        velocity[name] -= learning_rate * (slope + decay)
        parameters[name] += velocity[name]


def _layers(parameters: Parameters) -> int:
    return len(parameters) // 2


def _activations(parameters: Parameters, features: Array) -> list[Array]:
    """Return what enters each layer, and at the end what leaves the last."""
    activations = [features]
    last = _layers(parameters) - 1
    for layer in range(last + 1):
        linear = activations[-1] @ parameters[f"weight_{layer}"] + parameters[f"bias_{layer}"]
        activations.append(linear if layer == last else np.maximum(linear, 0))
    return activations


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probability: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_probability
