"""Plug-ins that cannot be used: no worker starts, and both the worker and the doctor say what to do."""

import json
from pathlib import Path

import pytest

from tests.cli.programs import ROOT, Up, headway

NOWHERE = {"HEADWAY_DATABASE_URL": "postgresql://127.0.0.1:1/none", "HEADWAY_REDIS_URL": "redis://127.0.0.1:1"}
HEAD = "These plug-ins cannot be used, and a worker starts with all of its tasks or not at all:"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """An import path with a good module of tasks, and a broken one."""
    (tmp_path / "broken.py").write_text("import not_installed\n")
    return f"{ROOT}:{ROOT / 'examples'}:{tmp_path}"


def tasks_check(report: str) -> dict[str, str]:
    return next(check for check in json.loads(report)["checks"] if check["name"] == "tasks")


def test_a_worker_with_a_plug_in_that_cannot_be_used_does_not_start(tmp_path: Path, path: str):
    done = headway("worker", cwd=tmp_path, PYTHONPATH=path, HEADWAY_TASK_MODULES="shard_task,broken", **NOWHERE)

    assert (done.returncode, done.stdout) == (2, "")
    head, fault = done.stderr.splitlines()
    assert head == f"headway: {HEAD}"
    assert fault == (
        "  HEADWAY_TASK_MODULES: broken: ModuleNotFoundError: No module named 'not_installed' "
        f"({tmp_path}/broken.py, line 1); install it beside Headway, or put its folder on PYTHONPATH."
    )


def test_the_doctor_names_the_plug_ins(tmp_path: Path, path: str):
    done = headway("doctor", "-o", "json", cwd=tmp_path, PYTHONPATH=path, HEADWAY_TASK_MODULES="shard_task")

    check = tasks_check(done.stdout)
    assert (check["status"], check["detail"]) == ("ok", "all built-in ones, shard")


def test_the_doctor_says_what_is_wrong_with_a_plug_in(tmp_path: Path, path: str):
    done = headway("doctor", "-o", "json", cwd=tmp_path, PYTHONPATH=path, HEADWAY_TASK_MODULES="broken")

    check = tasks_check(done.stdout)
    assert done.returncode == 1
    assert check["status"] == "fail"
    assert check["detail"].startswith(HEAD)
    assert "HEADWAY_TASK_MODULES" in check["advice"]


def test_up_runs_plug_ins_that_a_file_names(tmp_path: Path, path: str):
    """The setting from ``headway.toml``, and the import path relative to where ``up`` was started."""
    (tmp_path / "headway.toml").write_text('task_modules = "mine"\n')
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "mine.py").write_text((ROOT / "examples" / "shard_task.py").read_text())
    (tmp_path / "rows.jsonl").write_text("{}\n")
    with Up(tmp_path, PYTHONPATH=f"{ROOT}:tasks") as up:
        stage = {"name": "shard", "task": "shard", "params": {"path": str(tmp_path / "rows.jsonl")}}
        done = up.submit(stage, options=("--wait",))

    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / ".headway" / "artifacts").rglob("shard-00000.jsonl"))) == 1
