"""A role as a child process of ``headway up``: started, started again when it dies, stopped, and heard."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from app import launch
from app.embedded.server import keep_small

STEADY_S = 10.0
"""Who lived so long did not die of its start."""
PAUSE_S, PAUSE_MAX_S = 0.2, 10.0
_LISTEN_S = 0.25
_LINES_MAX = 20
_LINE_LENGTH_MAX = 500
_LOUD = frozenset({"warning", "error", "critical"})
_FRAME = frozenset({"event", "level", "logger", "timestamp", "exception"})

Say = Callable[[str], None]


class Child:
    """One process role. It ends with us, however we end."""

    def __init__(self, name: str, arguments: Sequence[str], env: Mapping[str, str], logs: Path, say: Say) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        self.process: asyncio.subprocess.Process | None = None
        self.quick_deaths = 0
        self._arguments, self._env, self._say = arguments, env, say
        self._inherited: tuple[int, ...] = ()
        self._stopping = False

    def inherit(self, fd: int) -> "Child":
        """Pass an open file on to the process."""
        self._inherited = (*self._inherited, fd)
        return self

    @property
    def pid(self) -> int | None:
        """Process id, while there is one."""
        return self.process.pid if self.process and self.process.returncode is None else None

    async def keep(self, started: Callable[[], None]) -> None:
        """Run it, and again when it has died, until ``stop``; calls ``started`` after each start."""
        while not self._stopping:
            began = time.monotonic()
            ending = await self._run(started)
            if self._stopping:
                return
            self.quick_deaths = 0 if time.monotonic() - began > STEADY_S else self.quick_deaths + 1
            self._say(f"{self.name} {ending}; starting it again")
            await asyncio.sleep(min(PAUSE_MAX_S, PAUSE_S * 2**self.quick_deaths))

    async def _run(self, started: Callable[[], None]) -> str:
        """Run it once; return how it ended."""
        try:
            self.process = await self._start()
        except OSError as error:  # a full disk or process table, which may be over in a moment
            return f"cannot be started: {error.strerror}"
        started()
        return _ending(await self.process.wait())

    async def stop(self, patience_s: float, hurry: asyncio.Event) -> None:
        """SIGTERM, wait, SIGKILL. When ``hurry`` is set, a second SIGTERM asks it to drop what it does."""
        self._stopping = True
        if self.process is None or self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        gone, hurried = asyncio.ensure_future(self.process.wait()), asyncio.ensure_future(hurry.wait())
        await asyncio.wait({gone, hurried}, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if hurry.is_set() and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await asyncio.wait({gone}, timeout=5.0)
        if self.process.returncode is None:
            self._say(f"{self.name} does not stop; killing it")
            self.process.kill()
        await gone

    async def listen(self) -> None:
        """Say aloud what it logs as warnings and errors, and whatever it writes that is no log."""
        place = self.log.stat().st_size if self.log.exists() else 0
        while True:
            await asyncio.sleep(_LISTEN_S)
            with suppress(OSError):  # it was put aside just now, or cannot be read; the next turn looks again
                place = self._say_news(place)

    def _say_news(self, place: int) -> int:
        try:
            if self.log.stat().st_size == place:
                return place
        except FileNotFoundError:
            return 0
        with self.log.open("rb") as log:
            place = place if place <= log.seek(0, os.SEEK_END) else 0
            log.seek(place)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        loud = [said for line in whole.decode(errors="replace").splitlines() if (said := _loud(line))]
        for said in loud[:_LINES_MAX]:
            self._say(f"[{self.name}] {said[:_LINE_LENGTH_MAX]}")
        if len(loud) > _LINES_MAX:
            self._say(f"[{self.name}] … and {len(loud) - _LINES_MAX} more: {self.log}")
        return place + len(whole)

    async def _start(self) -> asyncio.subprocess.Process:
        keep_small(self.log)
        program = [sys.executable, "-P", "-m", "app.cli", *self._arguments]
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                # No drain without us: the servers go with us, and nothing could be committed.
                *launch.command(program, signal=signal.SIGKILL),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                pass_fds=self._inherited,
                start_new_session=True,
            )


def _ending(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _loud(line: str) -> str | None:
    try:
        entry = msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError:
        return line.strip() or None
    if entry.get("level") not in _LOUD:
        return None
    rest = " ".join(f"{name}={value}" for name, value in entry.items() if name not in _FRAME)
    return f"{entry['level']}: {entry.get('event')} {rest}".strip()
