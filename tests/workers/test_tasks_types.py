"""The built-in tasks, as workers register them."""

import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

from schemas.queue import Queue, Slot
from schemas.task import BUILT_IN_TASKS
from schemas.training import TrainResult
from workers.tasks import TaskContext
from workers.tasks.built_in import BUILT_IN
from workers.tasks.registration import task_type

VALID = {
    "preprocess_dataset": {"dataset": "builtin:digits", "test_share": 0.3, "seed": 2**40},
    "train_model": {"dataset": "/d", "learning_rate": 1, "hidden": [64, 32], "config": {"any": ["thing"]}},
    "run_evaluation": {"dataset": "/d", "checkpoint": "/c", "split": "val"},
    "cleanup_checkpoints": {"stage": "train", "keep_best_n": 1, "mode": "max", "metric": "val_accuracy"},
    "run_command": {"argv": ["true"], "env": {"A_1": ""}, "cwd": "/"},
    "noop": {"sleep_s": 0.5},
}
INVALID = [
    ("preprocess_dataset", {}),
    ("preprocess_dataset", {"dataset": ""}),
    ("preprocess_dataset", {"dataset": "d", "test_share": 0.5}),
    ("preprocess_dataset", {"dataset": "d", "val_share": 0}),
    ("preprocess_dataset", {"dataset": "d", "seed": -1}),
    ("train_model", {"dataset": "d", "learning_rate": 0}),
    ("train_model", {"dataset": "d", "epochs": 1.5}),
    ("train_model", {"dataset": "d", "batch_size": 0}),
    ("train_model", {"dataset": "d", "hidden": []}),
    ("train_model", {"dataset": "d", "entrypoint": []}),
    ("train_model", {"dataset": "d", "epoch": 3}),
    ("run_evaluation", {"dataset": "d"}),
    ("run_evaluation", {"dataset": "d", "checkpoint": "c", "split": "all"}),
    ("cleanup_checkpoints", {"keep_best_n": 0}),
    ("run_command", {"argv": []}),
    ("run_command", {"argv": "ls -l"}),
    ("run_command", {"argv": ["true"], "env": {"A=B": "c"}}),
    ("noop", {"sleep_s": 3601}),
    ("noop", {"sleep": 1}),
]


def test_the_built_in_tasks_are_those_that_redis_keeps_in_common_lanes():
    assert set(BUILT_IN) == BUILT_IN_TASKS


def test_every_built_in_task_has_a_queue_and_one_way_to_run():
    assert {name: task.queue for name, task in BUILT_IN.items()} == {
        "preprocess_dataset": Queue.PREPROCESSING,
        "train_model": Queue.TRAINING,
        "run_evaluation": Queue.EVALUATION,
        "cleanup_checkpoints": Queue.MAINTENANCE,
        "run_command": Queue.DEFAULT,
        "noop": Queue.DEFAULT,
    }
    for task in BUILT_IN.values():
        assert (task.argv is None) == (task.slot is Slot.INLINE)
        assert (task.run is None) == (task.slot is Slot.PROCESS)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_registered_schema_and_the_worker_accept_the_same_params(name):
    task, registered = BUILT_IN[name], task_type(BUILT_IN[name])
    assert registered.params_schema["type"] == registered.result_schema["type"] == "object"
    jsonschema_rs.validator_for(registered.params_schema).validate(VALID[name])
    assert isinstance(msgspec.convert(VALID[name], task.params), task.params)


@pytest.mark.parametrize(("name", "params"), INVALID)
def test_the_registered_schema_and_the_worker_refuse_the_same_params(name, params):
    validator = jsonschema_rs.validator_for(task_type(BUILT_IN[name]).params_schema)
    assert not validator.is_valid(params)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(params, BUILT_IN[name].params)


def test_a_program_of_the_users_may_end_with_a_result_of_its_own():
    jsonschema_rs.validator_for(task_type(BUILT_IN["train_model"]).result_schema).validate({"perplexity": 3.5})
    assert msgspec.convert({"perplexity": 3.5}, TrainResult).best_checkpoint == ""


def test_processes_cannot_be_shadowed_by_files_in_their_run_directory(tmp_path: Path):
    (tmp_path / "workers.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "numpy.py").write_text("raise SystemExit('shadowed')")
    for name in ("preprocess_dataset", "train_model", "run_evaluation"):
        task = BUILT_IN[name]
        argv = task.command_line(msgspec.convert(VALID[name], task.params))
        environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert "shadowed" not in done.stderr
        assert "Object missing required field `dataset`" in done.stderr


def test_the_users_program_command_environment_and_directory_are_taken_as_they_are():
    train, command = BUILT_IN["train_model"], BUILT_IN["run_command"]
    params = msgspec.convert({"dataset": "/d", "entrypoint": ["python", "my train.py", "$HOME"]}, train.params)
    assert train.argv
    assert train.argv(params) == ["python", "my train.py", "$HOME"]
    params = msgspec.convert(VALID["run_command"], command.params)
    assert command.argv
    assert (command.argv(params), command.env(params), command.cwd(params)) == (["true"], {"A_1": ""}, "/")


def test_importing_the_tasks_is_light():
    code = "import sys, workers.tasks.built_in; sys.exit(bool({'numpy', 'polars', 'sklearn'} & set(sys.modules)))"
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


async def test_noop_does_nothing():
    noop = BUILT_IN["noop"]
    assert msgspec.to_builtins(await noop(TaskContext(), msgspec.convert({"sleep_s": 0.001}, noop.params))) == {}
