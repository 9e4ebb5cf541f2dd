"""The local executor: a stage is a process on the worker's own host, under a supervisor (``supervisor.py``).

It lives on pipes and callbacks of the event loop: no thread per stage, and nothing here waits for a stage. Whatever ends
the worker, its event loop or the watch over a stage closes the control pipe, and with that the supervisor kills the stage.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from workers.executors.base import Exit, Launch

SUPERVISOR = str(Path(__file__).with_name("supervisor.py"))
SUPERVISOR_ENV = ("LD_LIBRARY_PATH",)
MARK = "HEADWAY_PROCESS_MARK"
STRAYS_ROUNDS_MAX = 500
STRAYS_PAUSE_S = 0.01
EXPLANATION_CHARS_MAX = 2_000


class LocalProcess:
    """A stage's process as its worker sees it; ``handle`` is the pid of its supervisor, empty if it never started."""

    def __init__(self, handle: str, control: asyncio.WriteTransport | None, ended: asyncio.Future[Exit]) -> None:
        self.handle = handle
        self._control = control
        self._ended = ended

    async def wait(self) -> Exit:
        """Wait until nothing of the stage runs any more; may be cancelled and called again."""
        return await asyncio.shield(self._ended)

    def terminate(self) -> None:
        """Ask the process group to end (SIGTERM)."""
        self._send(b"T")

    def kill(self) -> None:
        """End everything (SIGKILL)."""
        self._send(b"K")

    def _send(self, command: bytes) -> None:
        if self._control and not self._control.is_closing():
            self._control.write(command)


async def start(launch: Launch) -> LocalProcess:
    """Start a process under a supervisor. Whatever goes wrong with that is told by ``wait``, as ``spawn_error``."""
    began = time.monotonic()
    mark = f"{MARK}={uuid4().hex}"
    loop = asyncio.get_running_loop()
    try:
        message = _encode(launch, mark)
        supervisor = _start_supervisor()
    except (OSError, ValueError) as error:
        never_started = loop.create_future()
        never_started.set_result(Exit(spawn_error=str(error)))
        return LocalProcess("", None, never_started)
    report = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(report), supervisor.stdout)
    control, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, supervisor.stdin)
    control.write(message)
    watch = loop.create_task(_watch(supervisor, control, report, launch.log_path, mark, began))
    return LocalProcess(str(supervisor.pid), control, watch)


def _encode(launch: Launch, mark: str) -> bytes:
    """Write a launch the way the supervisor reads it."""
    if not launch.argv or any("=" in name for name in launch.env):
        raise ValueError("a program must be named, and the name of an environment variable has no '='")
    variables = [mark, *(f"{name}={value}" for name, value in launch.env.items())]
    head = [str(launch.cwd), str(launch.log_path), str(launch.log_bytes_max), str(len(launch.argv))]
    fields = [os.fsencode(field) for field in [*head, *launch.argv, *variables]]
    if any(b"\0" in field for field in fields):
        raise ValueError("an argument or an environment variable holds a NUL byte")
    body = b"\0".join(fields)
    return len(body).to_bytes(8, "big") + body


def _start_supervisor() -> subprocess.Popen[bytes]:
    # Its environment is not the stage's: that one may name libraries that this Python must not load.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", SUPERVISOR],
        env={name: os.environ[name] for name in SUPERVISOR_ENV if name in os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,
    )


async def _watch(
    supervisor: subprocess.Popen[bytes],
    control: asyncio.WriteTransport,
    report: asyncio.StreamReader,
    log_path: Path,
    mark: str,
    began: float,
) -> Exit:
    said: dict[str, Any] = {}
    notes = []
    try:
        async for line in report:
            try:
                said |= json.loads(line)
            except (ValueError, TypeError):
                notes.append(line.decode(errors="replace"))
    finally:
        control.close()
    supervisor.wait()
