"""The reference programs as a worker starts them: real processes in the environment of the run contract."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from workers.tasks.built_in import BUILT_IN

ROOT = Path(__file__).parents[3]
PATIENCE_S = 30


@dataclass
class Attempt:
    """One attempt of a stage: its process, and what it has reported so far."""

    run_dir: Path
    process: subprocess.Popen[bytes]
    read: int = 0
    reports: list[dict[str, Any]] = field(default_factory=list)

    @property
    def checkpoint_dir(self) -> Path:
        return self.run_dir / "checkpoints"

    @property
    def log(self) -> str:
        return (self.run_dir / "log").read_text()

    @property
    def result(self) -> dict[str, Any]:
        return self.of_type("result")[-1]["values"]

    @property
    def error(self) -> dict[str, Any]:
        return self.of_type("error")[-1]

    @property
    def last_checkpoint(self) -> str | None:
        return next((report["path"] for report in reversed(self.of_type("checkpoint"))), None)

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        self._read_events()
        return [report for report in self.reports if report["type"] == kind]

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    def wait_for(self, kind: str, count: int = 1) -> None:
        """Return as soon as so many reports of a kind are there, or the process has ended."""
        end = time.monotonic() + PATIENCE_S
        while len(self.of_type(kind)) < count and self.process.poll() is None:
            assert time.monotonic() < end, f"no {kind} came: {self.log}"
            time.sleep(0.001)

    def _read_events(self) -> None:
        events = self.run_dir / "events.jsonl"
        if events.exists():
            whole = events.read_bytes()[self.read :].rpartition(b"\n")
            self.read += len(whole[0] + whole[1])
            self.reports += [json.loads(line) for line in whole[0].splitlines()]


Start = Callable[..., Attempt]


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a built-in task's process: ``start("train_model", {params}, resume_from=path)``."""
    attempts = []

    def start_task(name: str, params: dict[str, Any], **variables: object) -> Attempt:
        task = BUILT_IN[name]
        run_dir = tmp_path_factory.mktemp(name)
        (run_dir / "params.json").write_text(json.dumps(params))
        contract = {
            "params": run_dir / "params.json",
            "run_dir": run_dir,
            "checkpoint_dir": run_dir / "checkpoints",
            "resume_from": "",
            "events": run_dir / "events.jsonl",
            "attempt": 1,
        } | variables
        environment = {f"HEADWAY_{name.upper()}": str(value) for name, value in contract.items()}
        with (run_dir / "log").open("wb") as log:
            process = subprocess.Popen(
                task.command_line(msgspec.convert(params, task.params)),
                cwd=run_dir,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        attempts.append(Attempt(run_dir, process))
        return attempts[-1]

    yield start_task
    for attempt in attempts:
        attempt.process.kill()
        attempt.process.wait()


@pytest.fixture(scope="session")
def finish(start: Start) -> Start:
    """Run a built-in task's process to its end; fail with its log unless the exit code is the expected one."""

    def finish_task(name: str, params: dict[str, Any], *, exit_code: int = 0, **variables: object) -> Attempt:
        attempt = start(name, params, **variables)
        assert attempt.wait() == exit_code, attempt.log
        return attempt

    return finish_task


@pytest.fixture(scope="session")
def prepared(finish: Start) -> Attempt:
    """The digits, prepared."""
    return finish("preprocess_dataset", {"dataset": "builtin:digits"})


@pytest.fixture(scope="session")
def digits(prepared: Attempt) -> str:
    """The directory of the prepared digits."""
    return prepared.result["dataset"]


@pytest.fixture(scope="session")
def trained(finish: Start, digits: str) -> Attempt:
    """A training on the digits with all defaults, left alone."""
    return finish("train_model", {"dataset": digits})
