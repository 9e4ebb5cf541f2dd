"""The process of a function: what it is given, what it reports, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TASK_ID = "22222222-2222-4222-8222-222222222222"
MODULE = """\
import os, sys, time
from pathlib import Path
from msgspec import Struct
from workers.tasks import NotRetryable, TaskContext, task

class P(Struct):
    n: int = 0
    by: dict[int, str] = {}
class R(Struct):
    n: int = 0
    text: str = ""

@task(queue="training")
def f(context: TaskContext, params: P) -> R:
"""

Run = Callable[..., "Done"]


class Done:
    """A process, its exit code and its reports."""

    def __init__(self, run_dir: Path, process: subprocess.Popen[str]) -> None:
        self.run_dir = run_dir
        self.process = process

    def wait(self) -> "Done":
        self.output, _ = self.process.communicate(timeout=30)
        return self

    @property
    def lines(self) -> list[dict[str, Any]]:
        events = self.run_dir / "events.jsonl"
        return [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []

    def wait_for(self, name: str) -> None:
        end = time.monotonic() + 30
        while not (self.run_dir / name).exists():
            assert time.monotonic() < end, self.lines
            time.sleep(0.005)


@pytest.fixture
def start(tmp_path: Path) -> Run:
    """Start the process of a function with this body."""

    def start(body: str, params: dict[str, Any] | None = None, **variables: object) -> Done:
        (tmp_path / "tasks").mkdir()
        (tmp_path / "tasks" / "mine.py").write_text(MODULE + "".join(f"    {line}\n" for line in body.splitlines()))
        run_dir = tmp_path / "run"
        run_dir.mkdir()
        (run_dir / "params.json").write_text(json.dumps(params or {}))
        contract = {
            "params": run_dir / "params.json",
            "run_dir": run_dir,
            "checkpoint_dir": run_dir / "checkpoints",
            "events": run_dir / "events.jsonl",
            "pipeline": "11111111-1111-4111-8111-111111111111",
            "pipeline_name": "nightly",
            "stage": "train",
            "task_id": TASK_ID,
            "attempt": 2,
            "deadline": "1800000060.250",
            "resume_from": "/checkpoints/step-7",
        }
        environment = {f"HEADWAY_{name.upper()}": str(value) for name, value in (contract | variables).items()}
        path = os.pathsep.join([str(ROOT), str(tmp_path / "tasks")])
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "workers.run_task", "mine:f"],
            cwd=run_dir,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Done(run_dir, process)

    return start


@pytest.fixture
def run(start: Run) -> Run:
    """The same, to its end."""
    return lambda *arguments, **variables: start(*arguments, **variables).wait()


def test_it_returns_its_result(run: Run):
    done = run("return R(params.n + 1, params.by[1])", {"n": 41, "by": {"1": "one"}})
    assert done.process.returncode == 0, done.output
    assert done.lines == [{"type": "result", "values": {"n": 42, "text": "one"}}]


def test_it_knows_whose_attempt_it_is(run: Run):
    body = """
known = context.pipeline_uuid, context.pipeline_name, context.stage_name, context.task_id, context.attempt
return R(text=" ".join(map(str, [*known, context.deadline, context.resume_from, context.run_dir == Path.cwd()])))
"""
    pipeline = "11111111-1111-4111-8111-111111111111"
    expected = f"{pipeline} nightly train {TASK_ID} 2 1800000060.25 /checkpoints/step-7 True"
    assert run(body).lines[-1]["values"]["text"] == expected


def test_it_reports_as_it_goes(run: Run):
    body = """
context.progress(1, 4)
context.metrics(1, loss=0.5)
(context.run_dir / "model").write_text("12345")
context.checkpoint(context.run_dir / "model", 1, loss=0.5)
return R()
"""
    done = run(body)
    assert done.lines[:3] == [
        {"type": "progress", "step": 1, "total": 4},
        {"type": "metrics", "step": 1, "values": {"loss": 0.5}},
        {"type": "checkpoint", "path": f"{done.run_dir}/model", "step": 1, "metrics": {"loss": 0.5}, "bytes": 5},
    ]


def test_without_headway_it_says_all_that_on_its_output(tmp_path: Path):
    (tmp_path / "mine.py").write_text(MODULE + "    context.progress(1, 2)\n    return R(context.attempt)\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "workers.run_task", "mine:f"],
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["progress", "result"]


def test_an_exception_is_told_with_type_and_traceback(run: Run):
    done = run("{}['price']")
    assert done.process.returncode == 1
    (error,) = done.lines
    assert (error["message"], error["retryable"]) == ("KeyError: 'price'", True)
    assert 'mine.py", line 15, in f' in error["traceback"]
    assert "KeyError: 'price'" in done.output


def test_an_error_that_is_not_retryable_says_so_in_one_line(run: Run):
    done = run("raise NotRetryable('no column\\n named price')")
    assert (done.process.returncode, done.output) == (1, "error: no column named price\n")
    assert done.lines == [{"type": "error", "message": "no column named price", "retryable": False}]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "Expected `object`, got `null`"),
        ("{'n': 'many'}", "Expected `int`, got `str` - at `$.n`"),
        ("R(n='many')", "Expected `int`, got `str` - at `$.n`"),
        ("R(n=sys)", "Encoding objects of type module is unsupported"),
        ("[R()]", "Expected `object`, got `array`"),
    ],
)
def test_a_result_that_is_not_what_it_declares_is_refused_for_good(run: Run, returned: str, said: str):
    done = run(f"return {returned}")
    assert done.process.returncode == 1
    (error,) = done.lines
    assert (error["code"], error["retryable"]) == ("result_invalid", False)
    assert error["message"].startswith("The function's result is not the R that it declares: ")
    assert said in error["message"]


def test_exit_instead_of_a_result_is_an_error(run: Run):
    done = run("sys.exit()")
    assert done.process.returncode == 1
    assert "instead of returning its result" in done.lines[-1]["message"]


def test_another_exit_code_is_its_own(run: Run):
    assert run("sys.exit(3)").process.returncode == 3


def test_sigterm_ends_it_where_it_is_and_lets_it_clean_up(start: Run):
    done = start("""
try:
    Path("runs").touch()
    while True: time.sleep(0.005)
finally:
    Path("clean").touch()
""")
    done.wait_for("runs")
    done.process.send_signal(signal.SIGTERM)
    assert done.wait().process.returncode == 85, done.output
    assert (done.run_dir / "clean").exists()
    assert done.lines == []


def test_a_second_sigterm_does_not_disturb_its_cleaning_up(start: Run):
    done = start("""
try:
    Path("runs").touch()
    while True: time.sleep(0.005)
finally:
    Path("cleans").touch()
    while not Path("go").exists(): time.sleep(0.005)
    Path("clean").touch()
""")
    done.wait_for("runs")
    done.process.send_signal(signal.SIGTERM)
    done.wait_for("cleans")
    done.process.send_signal(signal.SIGTERM)
    (done.run_dir / "go").touch()
    assert done.wait().process.returncode == 85, done.output
    assert (done.run_dir / "clean").exists()


def test_one_that_asks_whether_to_stop_chooses_the_moment(start: Run):
    done = start("""
while not context.should_stop():
    Path("runs").touch()
    time.sleep(0.005)
context.metrics(7, loss=0.5)
context.leave()
""")
    done.wait_for("runs")
    done.process.send_signal(signal.SIGTERM)
    assert done.wait().process.returncode == 85, done.output
    assert [line["type"] for line in done.lines] == ["metrics"]


def test_one_that_is_asked_to_stop_may_have_a_result_all_the_same(start: Run):
    done = start("""
while not context.should_stop():
    Path("runs").touch()
    time.sleep(0.005)
return R(1)
""")
    done.wait_for("runs")
    done.process.send_signal(signal.SIGTERM)
    assert done.wait().process.returncode == 0, done.output
    assert done.lines[-1]["values"] == {"n": 1, "text": ""}


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("", "ImportError: there is no task f at the top level of mine"),
        ("f = print", "ImportError: there is no task f at the top level of mine"),
        ("import gone", "ModuleNotFoundError: No module named 'gone'"),
    ],
)
def test_a_function_that_cannot_be_found_is_told(tmp_path: Path, module: str, said: str):
    (tmp_path / "mine.py").write_text(module)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "workers.run_task", "mine:f"],
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["message"] == said
