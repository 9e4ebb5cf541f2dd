"""Stages as small scripts, and a line to every process that they start."""

import asyncio
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import uvloop

from workers.executors.base import Launch

PRELUDE = """
import os, signal, sys, time

def say(word):
    global line
    line = os.open("lifeline", os.O_WRONLY)
    os.write(line, f"{word} {os.getpid()}\\n".encode())

def wait_for_go():
    with open("go") as go: go.readline()

def forever():
    while True: signal.pause()

def ignore_sigterm():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

def daemonise():
    os.fork() and os._exit(0)
    os.setsid()
    os.fork() and os._exit(0)
    os.closerange(0, 3)

def leave_behind():
    if os.fork() == 0: say("child"); forever()
    if os.fork() == 0: os.setsid(); say("setsid"); forever()
    if os.fork() == 0: daemonise(); ignore_sigterm(); say("daemon"); forever()

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
        self.pids: set[int] = set()

    async def hear(self, *words: str) -> None:
        """Wait until all of the words have been said."""
        await asyncio.to_thread(self.hear_now, *words)

    def hear_now(self, *words: str) -> None:
        heard: set[str] = set()
        while heard != set(words):
            assert self.poll.poll(20_000), f"heard only {heard}"
            said = os.read(self.end, 4096).decode()
            assert said, f"all have ended and said only {heard}"
            for word, pid in map(str.split, said.splitlines()):
                heard.add(word)
                self.pids.add(int(pid))

    def is_cut(self, *, within_s: float = 0) -> bool:
        """Tell whether every process that has spoken, and all that descend from it, have ended."""
        return bool(self.poll.poll(within_s * 1000)) and os.read(self.end, 4096) == b""


@pytest.fixture
def lifeline(tmp_path) -> Iterator[Lifeline]:
    lifeline = Lifeline(tmp_path / "lifeline")
    yield lifeline
    if not lifeline.is_cut():
        # Of a test that failed; what passed has ended everything itself.
        for pid in lifeline.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    os.close(lifeline.end)


@pytest.fixture
def go(tmp_path) -> Iterator[Callable[[], None]]:
    """Let the stage go on that waits for it."""
    os.mkfifo(tmp_path / "go")
    end = os.open(tmp_path / "go", os.O_RDWR)
    yield lambda: os.write(end, b"go\n")
    os.close(end)


@pytest.fixture
def stage(tmp_path) -> Callable[..., Launch]:
    """Make the launch of a stage from some lines of Python."""

    def make(code: str, *, log_bytes_max: int = 1_000_000, name: str = "stage") -> Launch:
        script = tmp_path / f"{name}.py"
        script.write_text(PRELUDE + code)
        argv = [sys.executable, "-I", "-S", str(script)]
        return Launch(argv, {}, tmp_path, tmp_path / f"{name}.log", log_bytes_max)

    return make
