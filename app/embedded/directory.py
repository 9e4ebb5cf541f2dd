"""The directory of a server: who owns it, and where its socket can be."""

import fcntl
import hashlib
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from app.errors import SetupError

LOCK_TIMEOUT_S = 20
"""How long the server of an owner that was killed may take to shut down."""
SHORT_PREFIX = "headway-socket-"
_POLL_S = 0.01
_SOCKET_PATH_MAX = 100


def lock(directory: Path) -> BinaryIO:
    """Become the owner of ``directory``; the returned file is the lock.

    Servers inherit it, so the lock also tells when the last process of a killed owner's server is gone.

    Raises:
        SetupError: another process has it, or it cannot be written.

    """
    try:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        file = (directory / "lock").open("a+b", buffering=0)
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


def is_owned(directory: Path) -> bool:
    """Tell whether some living process owns ``directory``.

    Raises:
        SetupError: it is somebody else's, or no directory.

    """
    try:
        with (directory / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except OSError as refused:
        raise SetupError(f"{directory} cannot be read: {refused.strerror}. Choose another data directory.") from None
    return False


def release(lock: BinaryIO) -> None:
    """Give a directory free; its next owner waits for the last processes of a crashed server, if there are any."""
    if not lock.closed:
        lock.truncate(0)
        lock.close()


def socket_dir(directory: Path, socket: str) -> Path:
    """Return the directory for a server's unix socket: ``directory``, or another where its path is too long or odd.

    Raises:
        SetupError: somebody else has made that other directory.

    """
    is_plain = quote(str(directory)) == str(directory)
    if is_plain and len(os.fsencode(directory / socket)) <= _SOCKET_PATH_MAX:
        return directory
    name = SHORT_PREFIX + hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / name
    if len(os.fsencode(short / socket)) > _SOCKET_PATH_MAX:
        short = Path("/tmp") / name  # noqa: S108 - owner and mode are checked below
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    is_ours = found.st_uid in {os.geteuid(), directory.stat().st_uid}
    if not is_ours or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        raise SetupError(f"{short} belongs to somebody else. Choose a data directory with a shorter path.")
    return short


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ValueError, ProcessLookupError):
        return False
    return True
