"""Other systems, each driven as a program of its own in an environment of its own.

Such a program prints its versions and settings as one line of JSON, and its ``workloads`` if it does not take them all.
Then, for each name of a workload on stdin, it prints the seconds, or an object of them if a run has more than one end.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

PROGRAMS = Path(__file__).parent / "peers"
STOP_TIMEOUT_S = 60


class Peer:
    """A running peer; ``about`` holds its versions and settings."""

    def __init__(self, name: str, asked: IO[str], answers: IO[str]) -> None:
        self._name, self._asked, self._answers = name, asked, answers
        self.about: dict[str, Any] = json.loads(self._answer())

    def takes(self, workload: str) -> bool:
        """Whether it runs this one."""
        return workload in self.about.get("workloads", [workload])

    def seconds(self, workload: str) -> dict[str, float]:
        """Run a workload from its submission to its last result; by name, as some have more than one end."""
        print(workload, file=self._asked, flush=True)
        answer = json.loads(self._answer())
        ends = answer if isinstance(answer, dict) else {"": answer}
        return {f"{self._name}, {end}" if end else self._name: seconds for end, seconds in ends.items()}

    def _answer(self) -> str:
        if not (line := self._answers.readline()):
            raise RuntimeError(f"{self._name} has ended; what it said stands above.")
        return line


@contextmanager
def running(name: str, python: Path, program: str, variables: Mapping[str, str]) -> Iterator[Peer]:
    """A peer that has answered its first task.

    Raises:
        RuntimeError: it ended early.

    """
    command = [str(python), str(PROGRAMS / program)]
    with subprocess.Popen(
        command, env=os.environ | dict(variables), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Peer(name, process.stdin, process.stdout)
        process.stdin.close()
        process.wait(STOP_TIMEOUT_S)
