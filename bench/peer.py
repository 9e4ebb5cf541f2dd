"""Other systems, each driven as a program of its own in an environment of its own.

Such a program prints its versions and settings as one line of JSON; then, for each name of a workload on stdin, the
seconds that it took.
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

    def __init__(self, program: str, asked: IO[str], answers: IO[str]) -> None:
        self._program, self._asked, self._answers = program, asked, answers
        self.about: dict[str, Any] = json.loads(self._answer())

    def seconds(self, workload: str) -> float:
        """Run a workload from its submission to its last result."""
        print(workload, file=self._asked, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        if not (line := self._answers.readline()):
            raise RuntimeError(f"{self._program} has ended; what it said stands above.")
        return line


@contextmanager
def running(python: Path, program: str, variables: Mapping[str, str]) -> Iterator[Peer]:
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
        yield Peer(program, process.stdin, process.stdout)
        process.stdin.close()
        process.wait(STOP_TIMEOUT_S)
