"""Two tasks, as workers would register them, and the create call reduced to what the pure rules do with it."""

from typing import Annotated

import msgspec
import pytest
from hypothesis import settings
from msgspec import Meta, Struct

from app.core.plan import plan
from app.errors import InvalidRequest
from schemas.pipeline import PipelineSpec
from schemas.queue import Queue, Slot
from schemas.task import TaskType

# How long an example takes says more about the machine's other work than about the rule.
settings.register_profile("headway", deadline=None)
settings.load_profile("headway")


class PrepareParams(Struct, forbid_unknown_fields=True):
    source: str
    seed: int | None = None


class Files(Struct, forbid_unknown_fields=True):
    train: str
    parts: list[str]


class PrepareResult(Struct, forbid_unknown_fields=True):
    dataset: str
    rows: int
    share: float
    files: Files
    notes: dict[str, str]


class Layer(Struct, forbid_unknown_fields=True):
    width: int


class TrainParams(Struct, forbid_unknown_fields=True):
    dataset: str
    lr: Annotated[float, Meta(gt=0)] = 0.1
    epochs: int = 1
    layers: list[Layer] = []
    tags: dict[str, str] = {}


class TrainResult(Struct):
    accuracy: float


def task_type(name: str, queue: Queue, params: type[Struct], result: type[Struct]) -> TaskType:
    return TaskType(name, queue, Slot.PROCESS, "1", msgspec.json.schema(params), msgspec.json.schema(result))


@pytest.fixture(scope="session")
def task_types():
    prepare = task_type("prepare_data", Queue.PREPROCESSING, PrepareParams, PrepareResult)
    train = task_type("train", Queue.TRAINING, TrainParams, TrainResult)
    return {prepare.name: prepare, train.name: train}


@pytest.fixture(scope="session")
def planned(task_types):
    """Plan a create call from its JSON body."""

    def planned(stages, stages_max=1_000, **rest):
        body = {"name": "digits", "stages": stages, **rest}
        return plan(msgspec.convert(body, PipelineSpec), task_types, stages_max=stages_max)

    return planned


@pytest.fixture(scope="session")
def faults_of(planned):
    """What is wrong with a create call, as pairs of code and pointer."""

    def faults_of(stages, **rest):
        with pytest.raises(InvalidRequest) as refusal:
            planned(stages, **rest)
        return [(fault.code, fault.pointer) for fault in refusal.value.faults]

    return faults_of


@pytest.fixture(scope="session")
def prepare():
    return {"name": "prepare", "task": "prepare_data", "params": {"source": "builtin:digits"}}


@pytest.fixture(scope="session")
def train():
    """Make a training stage that waits for nothing unless told to."""

    def train(name="train", depends_on=(), **params):
        return {
            "name": name,
            "task": "train",
            "params": {"dataset": "digits.parquet", **params},
            "depends_on": list(depends_on),
        }

    return train
