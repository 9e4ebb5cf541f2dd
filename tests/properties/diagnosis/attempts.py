"""Run a broken program as an attempt, by the worker's own code: its supervisor, run contract, conclusion, diagnosis."""

import sys
from contextlib import nullcontext
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import NamedTuple
from uuid import UUID, uuid4

from app.settings import Settings
from schemas.diagnosis import Category, Diagnosis, Outlook
from schemas.stage import Claim, Completion
from schemas.training import CommandParams
from workers.diagnosis import diagnosed
from workers.heard import Heard
from workers.process import run_process
from workers.room import Attempt
from workers.stage import _completion
from workers.tasks.run_command import RUN_COMMAND

GRACE_S = 0.2
TIMEOUT_S = 30.0
PRELUDE = """
import json, os, signal, sys, time

def report(**line):
    with open(os.environ["HEADWAY_EVENTS"], "a") as events:
        events.write(json.dumps(line) + "\\n")

def from_outside(number):
    os.spawnlp(os.P_WAIT, "kill", "kill", f"-{number}", str(os.getpid()))
    time.sleep(10)

def as_nobody():
    os.getuid() or os.setuid(65534)

"""


class Broken(NamedTuple):
    """A program that fails, and what a person who knows why would say."""

    name: str
    expected: Category
    code: str = ""
    argv: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S
    imports: bool = False
    """Whether it needs more than the standard library."""
    heals: bool = False
    """Whether it succeeds when it is run again in the same place."""


class Listener:
    """Stands for the worker's reporter: nobody watches here."""

    def __init__(self, attempt: Attempt) -> None:
        self.heard = Heard(attempt)
        self.take = self.heard.take

    async def close(self) -> None:
        """Nothing is kept back."""


def command(one: Broken) -> list[str]:
    """The command line of a program."""
    if one.argv:
        return list(one.argv)
    options = ["-I"] if one.imports else ["-I", "-S"]
    return [sys.executable, *options, "-c", PRELUDE + dedent(one.code)]


def in_a_file(one: Broken, directory: Path) -> list[str]:
    """The same in a file, so that tracebacks have source lines."""
    if one.argv:
        return command(one)
    script = directory / "train.py"
    script.write_text(PRELUDE + dedent(one.code))
    return [*command(one)[:-2], str(script)]


async def end_of(one: Broken, directory: Path, *, argv: list[str] | None = None) -> Completion:
    """Run it in a directory, and return what a worker would commit."""
    directory.mkdir(parents=True, exist_ok=True)
    claim = _claim(one.timeout_s)
    attempt = Attempt(claim)
    listener = Listener(attempt)
    settings = Settings(data_dir=directory / "data", cancel_grace_s=GRACE_S)
    room = SimpleNamespace(settings=settings, progress_server=SimpleNamespace(hearing=lambda *_: nullcontext({})))
    params = CommandParams(argv=argv or in_a_file(one, directory), cwd=str(directory))
    ending = await run_process(room, attempt, RUN_COMMAND, params, listener)
    return await diagnosed(_completion(claim, ending, attempt.stop_reason), ending, listener.heard)


def is_right(one: Broken, found: Diagnosis | None) -> bool:
    """Whether the diagnosis is what a person would say."""
    return found is not None and found.category == one.expected


def is_falsely_never(one: Broken, found: Diagnosis | None) -> bool:
    """Whether another attempt is said to be of no use where it would succeed, or where a person would not say so."""
    return found is not None and found.outlook is Outlook.NEVER and (one.heals or found.category != one.expected)


def _claim(timeout_s: float) -> Claim:
    return Claim(
        stage=uuid4(),
        attempt=1,
        lease_token=UUID(int=1),
        pipeline=uuid4(),
        pipeline_name="broken",
        name="train",
        task="run_command",
        params={},
        references={},
        max_retries=0,
        failures=0,
        retry_delay_s=0.0,
        timeout_s=timeout_s,
        started_at=0.0,
    )
