"""What the embedded servers share: one owner per directory, start, readiness, stop, sockets."""

import fcntl
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from app import launch
from app.errors import SetupError

START_TIMEOUT_S = 120
"""Crash recovery of a big write-ahead log takes its time."""
LOCK_TIMEOUT_S = 20
"""How long the server of an owner that was killed may take to shut down."""
_POLL_S = 0.01
_SOCKET_PATH_MAX = 100
_SHORT_PREFIX = "headway-socket-"
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
        if not self.lock.closed:
            # The next owner need not fear a living one, only wait for the last of a crashed server's processes.
            self.lock.truncate(0)
            self.lock.close()
        if self.socket_dir.name.startswith(_SHORT_PREFIX) and self.socket_dir.exists():
            shutil.rmtree(self.socket_dir)


def package_dir(name: str) -> Path:
    """Return where a wheel with a server lies, without importing it.

    Raises:
        SetupError: there is no such wheel for this platform.

    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SetupError(
            f"There is no {name} package for this platform: set HEADWAY_DATABASE_URL and HEADWAY_REDIS_URL to real servers.",
        )
    return Path(spec.origin).parent


def lock(directory: Path) -> BinaryIO:
    """Become the owner of ``directory``; the returned file is the lock.

    Servers inherit it, so the lock also tells when the last process of a killed owner's server is gone.

    Raises:
        SetupError: another process has it, or it cannot be written.

    """
    try:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        file = open(directory / "lock", "a+b", buffering=0)  # noqa: SIM115 - open is what keeps it locked
    except OSError as refused:
        raise SetupError(f"{directory} cannot be used: {refused.strerror}. Choose another data directory.") from None
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(file.fileno(), 20, 0).decode()
            if _is_alive(owner) or time.monotonic() > deadline:
                file.close()
                raise SetupError(f"{directory} is in use by another process (pid {owner}).") from None
            time.sleep(_POLL_S)
        else:
            file.truncate(0)
            file.write(str(os.getpid()).encode())
            return file


def spawn(
    program: list[str],
    *,
    identity: str,
    inherited: tuple[int, ...],
    log: Path,
    end_signal: int,
) -> subprocess.Popen[bytes]:
    """Start a server that gets ``end_signal`` when this process ends. In a session of its own: Ctrl-C is for its owner."""
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


def socket_dir(directory: Path, socket: str) -> Path:
    """Return the directory for a server's unix socket: ``directory``, or another where its path is too long or odd.

    Raises:
        SetupError: somebody else has made that other directory.

    """
    is_plain = quote(str(directory)) == str(directory)
    if is_plain and len(os.fsencode(directory / socket)) <= _SOCKET_PATH_MAX:
        return directory
    name = _SHORT_PREFIX + hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / name
    if len(os.fsencode(short / socket)) > _SOCKET_PATH_MAX:
        short = Path("/tmp") / name  # noqa: S108 - owner and mode are checked below
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if found.st_uid not in {os.geteuid(), directory.stat().st_uid} or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        raise SetupError(f"{short} belongs to somebody else. Choose a data directory with a shorter path.")
    return short


def keep_small(log: Path) -> None:
    """Put a log aside when it has grown; one old one is kept."""
    if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))


def tail(log: Path, lines: int = 12) -> str:
    """Return the end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ValueError, ProcessLookupError):
        return False
    return True
