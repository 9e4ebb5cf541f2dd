"""The local executor: a stage is a process on the worker's own host, under a supervisor (``supervisor.py``).

It lives on pipes and callbacks of the event loop: no thread per stage, and nothing here waits for a stage. Whatever
ends the worker, its event loop or the watch over a stage closes the control pipe, and then the supervisor kills the
stage.
"""

import ast
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import uvloop

from workers.executors.base import Exit, Launch

SUPERVISOR = str(Path(__file__).with_name("supervisor.py"))
SUPERVISOR_ENV = ("LD_LIBRARY_PATH",)
MARK = "HEADWAY_PROCESS_MARK"
STRAYS_ROUNDS_MAX = 500
STRAYS_PAUSE_S = 0.01
NOTES_CHARS_MAX = 2_000


class LocalProcess:
    """A stage's process as its worker sees it; ``handle`` is the pid of its supervisor, empty if it never started."""

    def __init__(self, handle: str, control: asyncio.WriteTransport | None, ended: Awaitable[Exit]) -> None:
        self.handle = handle
        self._control = control
        self._ended = asyncio.ensure_future(ended)

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


@dataclass(frozen=True, slots=True)
class _Supervisor:
    """A supervisor program and the worker's ends of the pipes to it."""

    program: subprocess.Popen[bytes]
    control: asyncio.WriteTransport
    report: asyncio.StreamReader
    report_transport: asyncio.ReadTransport


async def start(launch: Launch) -> LocalProcess:
    """Start a process under a supervisor. Whatever goes wrong with that is told by ``wait``, as ``spawn_error``."""
    began = time.monotonic()
    mark = f"{MARK}={uuid4().hex}"
    try:
        message = _encode(launch, mark)
        program = _start_program()
    except (OSError, ValueError) as error:
        return LocalProcess("", None, _never_started(str(error)))
    supervisor = await _connect(program)
    supervisor.control.write(message)
    return LocalProcess(str(program.pid), supervisor.control, _watch(supervisor, mark, began))


def _encode(launch: Launch, mark: str) -> bytes:
    """Write a launch the way the supervisor reads it."""
    if not launch.argv or not launch.argv[0]:
        raise ValueError("no program is named")
    if any(not name or "=" in name for name in launch.env):
        raise ValueError("an environment variable has no name, or a '=' in it")
    variables = [mark, *(f"{name}={value}" for name, value in launch.env.items())]
    head = [str(launch.cwd), str(launch.log_path), str(launch.log_bytes_max), str(len(launch.argv))]
    fields = [os.fsencode(field) for field in [*head, *launch.argv, *variables]]
    if any(b"\0" in field for field in fields):
        raise ValueError("an argument or an environment variable holds a NUL byte")
    body = b"\0".join(fields)
    return len(body).to_bytes(8, "big") + body


def _start_program() -> subprocess.Popen[bytes]:
    """Start a supervisor, not in the stage's environment: that may name libraries which this Python must not load."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", SUPERVISOR],
        env={name: os.environ[name] for name in SUPERVISOR_ENV if name in os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,
    )


async def _never_started(why: str) -> Exit:
    return Exit(spawn_error=why)


async def _connect(program: subprocess.Popen[bytes]) -> _Supervisor:
    loop = asyncio.get_running_loop()
    report = asyncio.StreamReader()
    try:
        reports, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(report), _closed_once(loop, program.stdout)
        )
        control, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, _closed_once(loop, program.stdin))
    except BaseException:
        program.kill()  # Without a launch it has no stage yet.
        program.wait()
        raise
    return _Supervisor(program, control, report, reports)


def _closed_once(loop: asyncio.AbstractEventLoop, pipe: IO[bytes] | None) -> IO[bytes] | None:
    """Return the pipe in a form whose descriptor the loop closes once.

    uvloop closes the descriptor and then the file as well. Between the two another thread may have been given the
    number: for the log of a stage, a socket to Postgres. The second close would take it away.
    """
    if pipe is None or not isinstance(loop, uvloop.Loop):
        return pipe
    with pipe:
        return open(os.dup(pipe.fileno()), pipe.mode, buffering=0, closefd=False)


async def _watch(supervisor: _Supervisor, mark: str, began: float) -> Exit:
    try:
        said, notes = await _listen(supervisor.report)
    except asyncio.CancelledError:
        supervisor.control.close()
        await _listen(supervisor.report)  # The loop is closing: first see the stage to its end.
        supervisor.program.wait()
        raise
    finally:
        supervisor.control.close()
        supervisor.report_transport.close()
    code = supervisor.program.wait()  # At once: the kernel has already closed its end of the report.
    seconds = time.monotonic() - began
    if "exit" in said:
        return Exit(seconds=seconds, **said["exit"])
    how = f"The supervisor of the stage ended before it, with code {code}. {notes}".strip()
    # One that was killed may have started a stage that it had no time to report.
    if "pid" not in said and code >= 0:
        return Exit(seconds=seconds, spawn_error=how)
    await _kill_strays(said.get("pid"), mark.encode())
    return Exit(signal=int(signal.SIGKILL), seconds=seconds, killed=True, explanation=how)


async def _listen(report: asyncio.StreamReader) -> tuple[dict[str, Any], str]:
    """Collect what a supervisor reports until it ends, and apart from that its own troubles, such as a traceback."""
    said: dict[str, Any] = {}
    notes = ""
    async for line in report:
        try:
            said |= ast.literal_eval(line.decode())
        except (ValueError, TypeError, SyntaxError):
            notes += line.decode(errors="replace")
    return said, notes[-NOTES_CHARS_MAX:]


async def _kill_strays(group: int | None, mark: bytes) -> None:
    """SIGKILL what a killed supervisor left behind: its process group, and whoever carries the mark of its stage.

    These are not our children, so nothing tells us of their end: look again until none is found.
    """
    with suppress(ProcessLookupError, PermissionError):
        if group is not None:
            os.killpg(group, signal.SIGKILL)
    for _ in range(STRAYS_ROUNDS_MAX):
        found = [pid for pid in _pids() if _kill_marked(pid, mark)]
        if not found:
            return
        await asyncio.sleep(STRAYS_PAUSE_S)


def _pids() -> list[int]:
    if sys.platform != "linux":
        return []
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _kill_marked(pid: int, mark: bytes) -> bool:
    """SIGKILL a process if it was started with the mark in its environment; false if not."""
    try:
        # Opened before the look, so that the signal cannot reach a newcomer with the same pid.
        process = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if mark not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(process)
    return True
