"""What the embedded servers share: start, readiness, stop."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from app import launch
from app.embedded.directory import SHORT_PREFIX, release
from app.errors import SetupError

START_TIMEOUT_S = 120
"""Crash recovery of a big write-ahead log takes its time."""
_POLL_S = 0.01
_LOG_BYTES_MAX = 10 * 1024 * 1024
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True)
class EmbeddedServer:
    """A running server. ``stop_signals`` are tried in order, each with the seconds that it gets."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    lock: BinaryIO
    socket_dir: Path
    stop_signals: tuple[tuple[signal.Signals, float], ...]

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self.process.pid

    def stop(self) -> None:
        """End the server, gently first, and give its directory free. A second call does nothing."""
        for stop_signal, patience_s in (*self.stop_signals, (signal.SIGKILL, 5.0)):
            if self.process.poll() is not None:
                break
            self.process.send_signal(stop_signal)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
        release(self.lock)
        if self.socket_dir.name.startswith(SHORT_PREFIX) and self.socket_dir.exists():
            shutil.rmtree(self.socket_dir)


def package_dir(name: str) -> Path:
    """Return where a wheel with a server lies, without importing it.

    Raises:
        SetupError: there is no such wheel for this platform.

    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SetupError(
            f"There is no {name} package for this platform: set HEADWAY_DATABASE_URL and HEADWAY_REDIS_URL instead.",
        )
    return Path(spec.origin).parent


def spawn(
    program: list[str],
    *,
    identity: str,
    inherited: tuple[int, ...],
    log: Path,
    end_signal: int,
) -> subprocess.Popen[bytes]:
    """Start a server that gets ``end_signal`` when this process ends, in a session that no Ctrl-C reaches."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    keep_small(log)
    with log.open("ab") as output:
        return subprocess.Popen(
            launch.command(program, signal=end_signal, identity=identity),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_ENVIRONMENT,
            pass_fds=inherited,
            start_new_session=True,
        )


def wait_ready(server: EmbeddedServer, is_ready: Callable[[], bool], log: Path) -> EmbeddedServer:
    """Return the server once it answers.

    Raises:
        SetupError: it ended or did not answer in time; with the end of its log.

    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_ready():
        if server.process.poll() is not None or time.monotonic() > deadline:
            server.stop()
            raise SetupError(f"The embedded {server.name} did not start. The end of {log}:\n{tail(log)}")
        time.sleep(_POLL_S)
    return server


def run(program: list[str], *, identity: str, inherited: tuple[int, ...], stdin: bytes | None = None) -> None:
    """Run a preparing program to its end.

    Raises:
        SetupError: it failed; with what it said.

    """
    done = subprocess.run(
        launch.command(program, signal=signal.SIGKILL, identity=identity),
        input=stdin,
        capture_output=True,
        env=_ENVIRONMENT,
        pass_fds=inherited,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise SetupError(f"{Path(program[0]).name} failed: {said}")


def keep_small(log: Path) -> None:
    """Put a log aside when it has grown; one old one is kept."""
    if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))


def tail(log: Path, lines: int = 12) -> str:
    """Return the end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"
