"""Stages as small scripts, and a line to every process that they start."""

import asyncio
import os
import select
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from workers.executors.base import Launch

PRELUDE = """
import os, signal, sys, time

def say(word="here"):
    global line
    line = os.open({lifeline!r}, os.O_WRONLY)
    os.write(line, f"{{word}} {{os.getpid()}}\\n".encode())

def daemonise():
    os.fork() and os._exit(0)
    os.setsid()
    os.fork() and os._exit(0)
    os.closerange(0, 3)

def forever():
    while True:
        signal.pause()
"""


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Everything here holds under the loop of production and under Python's own."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Lifeline:
    """A pipe that the processes of a stage speak into, and hold open for as long as any of them lives."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.poll = select.poll()
        self.poll.register(self.end, select.POLLIN)

    def hear(self, *words: str) -> dict[str, int]:
        """Wait until each of the words has been said; return who said it."""
        heard = {}
        while heard.keys() != set(words):
            assert self.poll.poll(20_000), f"heard only {heard}"
            lines = os.read(self.end, 4096).decode().splitlines()
            assert lines, f"all have ended, and said only {heard}"
            heard.update((word, int(pid)) for word, pid in map(str.split, lines))
        return heard

    def is_cut(self, *, within_s: float = 0) -> bool:
        """Tell whether every process that ever spoke, and all their descendants, have ended."""
        return bool(self.poll.poll(within_s * 1000)) and os.read(self.end, 4096) == b""


@pytest.fixture
def lifeline(tmp_path) -> Iterator[Lifeline]:
    line = Lifeline(tmp_path / "lifeline")
    yield line
    os.close(line.end)


@pytest.fixture
def script(tmp_path) -> Callable[..., Launch]:
    """Make a launch of some lines of Python."""

    def make(code: str, *, log_bytes_max: int = 1_000_000, name: str = "stage") -> Launch:
        path = tmp_path / f"{name}.py"
        path.write_text(PRELUDE.format(lifeline=str(tmp_path / "lifeline")) + code)
        return Launch(
            argv=[sys.executable, "-I", "-S", str(path)],
            env={"NAME": name},
            cwd=tmp_path,
            log_path=tmp_path / f"{name}.log",
            log_bytes_max=log_bytes_max,
        )

    return make
