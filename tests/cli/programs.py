"""``headway`` as people run it: programs of their own, in a directory of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from app import launch

ROOT = Path(__file__).parents[2]
HEADWAY = [sys.executable, "-P", "-m", "app.cli"]
TOKEN = "let-me-in"
PATIENCE_S = 60


def environment(**settings: str) -> dict[str, str]:
    """No settings but these."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADWAY_")}
    return {**clean, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **settings}


def headway(*arguments: str, cwd: Path, stdin: str | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HEADWAY, *arguments],
        cwd=cwd,
        env=environment(**settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def exists(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(fact: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    deadline = time.monotonic() + patience_s
    while not (found := fact()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


class Up:
    """A ``headway up`` on a free port, in ``cwd``, with a token."""

    def __init__(self, cwd: Path, **settings: str) -> None:
        self.cwd = cwd
        self.settings = {"HEADWAY_API_TOKEN": TOKEN, **settings}
        self.errors = (cwd / "up.err").open("w")
        self.process = subprocess.Popen(
            # It ends with the test run, also when a test fails half-way.
            launch.command([*HEADWAY, "up", "--port", "0"], signal=signal.SIGTERM),
            cwd=cwd,
            env=environment(**self.settings),
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.banner = self.process.stdout.readline()
        assert "Headway is ready at http://127.0.0.1:" in self.banner, (cwd / "up.err").read_text()

    def __call__(self, *arguments: str, stdin: str | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run another command in the same directory."""
        return headway(*arguments, cwd=self.cwd, stdin=stdin, **{**self.settings, **settings})

    def submit(self, *stages: dict[str, Any], options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return self("submit", "-", *options, stdin=json.dumps({"name": "test", "stages": stages}))

    @property
    def pids(self) -> dict[str, int]:
        pids: dict[str, int] = json.loads((self.cwd / ".headway" / "up.json").read_text())["pids"]
        return pids

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)
        self.errors.close()

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if one is named, wait for the end and return the exit code."""
        if number is not None:
            self.process.send_signal(number)
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode
