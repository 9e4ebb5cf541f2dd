"""Real processes under test, and stages that tell what they do while they do it."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from pathlib import Path
from textwrap import dedent
from typing import Any

WITHIN_S = 30.0
"""How long anything may take that should take a moment: this machine may be busy with other things."""
LOOK_AGAIN_S = 0.02

PRELUDE = """
import json, os, signal, sys, time

def say(word):
    line = f"{os.environ['HEADWAY_STAGE']} {os.environ['HEADWAY_ATTEMPT']} {os.getpid()} {word}\\n"
    log = os.open(os.environ["ORACLE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, line.encode())
    os.close(log)

def wait_for(word):
    while not any(line.split()[-1] == word for line in open(os.environ["ORACLE"])):
        time.sleep(0.01)

def report(**line):
    with open(os.environ["HEADWAY_EVENTS"], "a") as events:
        events.write(json.dumps(line) + "\\n")

def forever():
    while True: signal.pause()

def worker():
    return int(open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[1])

attempt = int(os.environ["HEADWAY_ATTEMPT"])
"""


@dataclass(frozen=True)
class Line:
    """What a process of a stage said, and who it was."""

    stage: str
    attempt: int
    pid: int
    word: str


class Oracle:
    """A log outside of Headway, one line for each thing a stage said: what has really happened, and in which order.

    A stage is some lines of Python that may use ``say``, ``wait_for``, ``report``, ``forever`` and
    ``worker`` (its pid) of the prelude. The
    test may ``say`` a word as well, which is how it lets a waiting stage go on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def stage(self, name: str, code: str, **fields: Any) -> dict[str, Any]:
        """A ``run_command`` stage that runs this code."""
        return {"name": name, "task": "run_command", "params": self.command(code), **fields}

    def command(self, code: str) -> dict[str, Any]:
        """The params of such a stage."""
        argv = [sys.executable, "-I", "-S", "-c", PRELUDE + dedent(code)]
        return {"argv": argv, "env": {"ORACLE": str(self.path)}}

    def say(self, word: str) -> None:
        """Say a word that stages may wait for."""
        with self.path.open("a") as log:
            log.write(f"test 0 {os.getpid()} {word}\n")

    def lines(self, *, word: str | None = None) -> list[Line]:
        """All that the stages have said so far, or each time they said ``word``."""
        said = [line.split() for line in self.path.read_text().splitlines()]
        lines = [Line(stage, int(attempt), int(pid), text) for stage, attempt, pid, text in said if stage != "test"]
        return [line for line in lines if word in {None, line.word}]

    def words(self) -> list[str]:
        """The words alone, in the order in which they were said."""
        return [line.word for line in self.lines()]

    async def heard(self, word: str, *, times: int = 1) -> Line:
        """Wait until a word has been said; returns the line, the last one if it was to be said several times."""
        await until(lambda: len(self.lines(word=word)) >= times, f"{word!r} was not said: {self.lines()}")
        return self.lines(word=word)[times - 1]


async def until(holds: Callable[[], Any], otherwise: str, within_s: float = WITHIN_S) -> None:
    """Look again and again until something holds, which may be a coroutine's answer; fail if it never does."""
    deadline = time.monotonic() + within_s
    while not (await found if isawaitable(found := holds()) else found):
        assert time.monotonic() < deadline, otherwise
        await asyncio.sleep(LOOK_AGAIN_S)


class Watched:
    """Processes that are held by descriptor, so that a newcomer with the same pid is never taken for one of them."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.processes = {pid: os.pidfd_open(pid) for pid in pids}
        assert self.processes, "there is nothing to watch"

    def living(self) -> list[int]:
        """The pids of those that have not ended."""
        ended, _, _ = select.select(self.processes.values(), [], [], 0)
        return [pid for pid, process in self.processes.items() if process not in ended]

    async def gone(self, within_s: float = WITHIN_S) -> None:
        """Wait for the end of all of them."""
        await until(lambda: not self.living(), f"still there: {self.processes}", within_s)
        for process in self.processes.values():
            os.close(process)


def below(pid: int) -> list[int]:
    """All processes that descend from one."""
    parents = {int(entry.name): _parent(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found, grown = {pid}, True
    while grown:
        children = {child for child, parent in parents.items() if parent in found} - found
        found, grown = found | children, bool(children)
    return sorted(found - {pid})


def _parent(entry: Path) -> int:
    try:
        # "pid (command) state parent …", and the command may hold spaces and brackets.
        return int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


@dataclass(frozen=True)
class Process:
    """One process of an installation; ``role`` is ``api``, ``scheduler`` or ``worker``."""

    role: str
    name: str
    program: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.program.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.program.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal: SIGTERM to let it leave, SIGSTOP and SIGCONT to suspend it for a while."""
        self.program.send_signal(number)

    def kill(self) -> None:
        """End it without a word."""
        self.program.kill()
        self.program.wait()

    async def ended(self, within_s: float = WITHIN_S) -> int:
        """Wait for its end; returns the exit code."""
        await until(lambda: not self.is_running, f"{self.name} does not end", within_s)
        return self.program.wait()

    def said(self, event: str) -> list[dict[str, Any]]:
        """The entries of its log about one thing."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]


def start(role: str, name: str, program: Sequence[str], log: Path, **options: Any) -> Process:
    """Start a process in a session of its own, with everything that it says in ``log``."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            program, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **options
        )
    return Process(role, name, started, log)
