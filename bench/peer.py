"""Celery, driven from here: ``celery_peer.py`` runs in the environment that has it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from app.embedded import EmbeddedServer

STOP_TIMEOUT_S = 60


class Peer:
    """A running peer; ``about`` holds its versions and settings."""

    def __init__(self, asked: IO[str], answers: IO[str]) -> None:
        self._asked, self._answers = asked, answers
        self.about: dict[str, Any] = json.loads(self._answer())

    def seconds(self, workload: str) -> float:
        """Run a workload from its submission to its last result."""
        print(workload, file=self._asked, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        if not (line := self._answers.readline()):
            raise RuntimeError("Celery's side has ended; what it said stands above.")
        return line


@contextmanager
def running(python: Path, valkey: EmbeddedServer) -> Iterator[Peer]:
    """A peer with a warm worker, on another database of the same Valkey.

    Raises:
        RuntimeError: it ended early.

    """
    program = [str(python), str(Path(__file__).with_name("celery_peer.py"))]
    environment = os.environ | {"VALKEY_SOCKET": urlsplit(valkey.url).path}
    with subprocess.Popen(
        program, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Peer(process.stdin, process.stdout)
        process.stdin.close()
        process.wait(STOP_TIMEOUT_S)
