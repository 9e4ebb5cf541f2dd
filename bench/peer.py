"""Other systems, each driven as a program of its own in an environment of its own.

Such a program prints its versions and settings as one line of JSON, and its ``workloads`` if it does not take them all.
Then, for each name of a workload on stdin, it prints the seconds, or an object of them if a run has more than one end.
Between its turns all of its processes are stopped, so that a peer that is never idle costs the others nothing.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).parent / "peers"
STOP_TIMEOUT_S = 60
AWAKE_S = 1.0
"""From the moment that a peer goes on to its run: what it has missed is not to be counted."""


class Peer:
    """A running peer; ``about`` holds its versions and settings."""

    def __init__(self, name: str, process: "subprocess.Popen[str]") -> None:
        self._name, self._process = name, process
        self.about: dict[str, Any] = json.loads(self._answer())
        self.signal(signal.SIGSTOP)

    def takes(self, workload: str) -> bool:
        """Whether it runs this one."""
        return workload in self.about.get("workloads", [workload])

    def seconds(self, workload: str) -> dict[str, float]:
        """Run a workload from its submission to its last result; by name, as some have more than one end."""
        assert self._process.stdin is not None
        self.signal(signal.SIGCONT)
        time.sleep(AWAKE_S)
        print(workload, file=self._process.stdin, flush=True)
        answer = json.loads(self._answer())
        self.signal(signal.SIGSTOP)
        ends = answer if isinstance(answer, dict) else {"": answer}
        return {f"{self._name}, {end}" if end else self._name: seconds for end, seconds in ends.items()}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        os.killpg(self._process.pid, number)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise RuntimeError(f"{self._name} has ended; what it said stands above.")
        return line


@contextmanager
def running(name: str, python: Path, program: str, variables: Mapping[str, str]) -> Iterator[Peer]:
    """A peer that has answered its first task.

    Raises:
        RuntimeError: it ended early.

    """
    with subprocess.Popen(
        [str(python), str(PROGRAMS / program)],
        env=os.environ | dict(variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        try:
            yield Peer(name, process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
            process.stdin.close()
            process.wait(STOP_TIMEOUT_S)
