"""The run contract, from the side of a training process."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workers.training import run

ROOT = Path(__file__).parents[3]


@pytest.fixture
def events(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv("HEADWAY_EVENTS", str(path))
    return path


def program(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script that knows nothing of Headway but the one file."""
    source = f"import os, signal, sys\nfrom workers.training import run\n{code}"
    return subprocess.run(
        [sys.executable, "-c", source],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_every_report_is_one_line_of_json(events, tmp_path):
    saved = tmp_path / "step-1"
    saved.mkdir()
    (saved / "weights").write_bytes(b"12345")
    run.phase("train")
    run.progress(step=1, total=10, epoch=1, eta_s=4.5)
    run.metrics(1, loss=0.5, diverged=math.nan)
    run.checkpoint(saved, 1, {"loss": 0.5})
    run.error("no more\nmemory", retryable=True)
    run.result(accuracy=0.97)
    phase, progress, metrics, *others = [json.loads(line) for line in events.read_text().splitlines()]
    assert phase == {"type": "phase", "name": "train"}
    assert progress == {"type": "progress", "step": 1, "total": 10, "epoch": 1, "eta_s": 4.5}
    assert math.isnan(metrics["values"]["diverged"])
    assert others == [
        {"type": "checkpoint", "path": str(saved), "step": 1, "metrics": {"loss": 0.5}, "bytes": 5},
        {"type": "error", "message": "no more\nmemory", "retryable": True},
        {"type": "result", "values": {"accuracy": 0.97}},
    ]


def test_reports_of_several_processes_do_not_mix(events):
    code = "for n in range(300): run.metrics(n, **{'x' * 2000: float(os.getpid())})"
    source = f"import os\nfrom workers.training import run\n{code}"
    environment = {"PYTHONPATH": str(ROOT), "HEADWAY_EVENTS": str(events)}
    writers = [subprocess.Popen([sys.executable, "-c", source], env=environment) for _ in range(3)]
    assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    assert [json.loads(line)["type"] for line in events.read_text().splitlines()] == ["metrics"] * 900


def test_a_report_that_cannot_be_written_disturbs_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADWAY_EVENTS", str(tmp_path))
    run.metrics(1, loss=0.5)
    assert "a metrics report is lost" in capsys.readouterr().err


def test_a_report_that_makes_no_sense_disturbs_nothing(events, capsys):
    run.metrics(1, loss=object())
    run.checkpoint(Path("/nowhere"), 1, {})
    said = capsys.readouterr().err
    assert "a metrics report is lost" in said
    assert "a checkpoint report is lost" in said
    assert not events.exists()


def test_a_result_that_cannot_be_written_is_an_error(monkeypatch):
    monkeypatch.setenv("HEADWAY_EVENTS", "/dev/full")
    with pytest.raises(OSError, match="No space left"):
        run.result(accuracy=0.97)


def test_without_headway_a_script_runs_and_prints():
    done = program("run.catch_sigterm(); run.progress(step=1, total=2); run.result(best=run.params().get('x', 7))")
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"type": "progress", "step": 1, "total": 2},
        {"type": "result", "values": {"best": 7}},
    ]


def test_a_script_leaves_with_85_however_often_it_is_asked_to_stop():
    code = """
run.catch_sigterm()
assert not run.should_stop()
for _ in range(3):
    os.kill(os.getpid(), signal.SIGTERM)
run.wait(600)
if run.should_stop():
    run.leave()
"""
    assert program(code).returncode == run.EXIT_STOPPED == 85


def test_sigterm_ends_a_script_that_did_not_ask_to_hear_it():
    assert program("os.kill(os.getpid(), signal.SIGTERM)").returncode == -signal.SIGTERM


def test_an_unexpected_exception_is_reported_with_its_traceback_in_the_log(events):
    done = program("def f(): 1 / 0\nsys.exit(run.main(f))", HEADWAY_EVENTS=str(events))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    error = json.loads(events.read_text())
    assert error.pop("traceback").endswith("ZeroDivisionError: division by zero\n")
    assert error == {"type": "error", "message": "ZeroDivisionError: division by zero", "retryable": True}


def test_of_a_long_traceback_the_end_is_reported(events):
    program("def f(): raise ValueError('x' * 20_000 + 'end')\nsys.exit(run.main(f))", HEADWAY_EVENTS=str(events))
    traceback = json.loads(events.read_text())["traceback"]
    assert len(traceback) == run.TRACEBACK_CHARS_MAX
    assert traceback.endswith("end\n")


def test_a_refusal_is_one_line_without_a_traceback(events):
    done = program(
        "def f(): raise run.NotRetryable('no\\n  such file')\nsys.exit(run.main(f))", HEADWAY_EVENTS=str(events)
    )
    assert done.returncode == 1
    assert done.stderr == "error: no such file\n"
    assert json.loads(events.read_text()) == {"type": "error", "message": "no such file", "retryable": False}
