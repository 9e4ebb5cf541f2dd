"""Who the embedded Postgres runs as. It refuses to run as root, and root is who runs things on many machines.

As root, first choice is a user namespace of its own: there it looks like an ordinary user and still owns its files.
Where namespaces are forbidden it becomes ``nobody`` and is given its own directory. Neither may walk through closed
directories (``/root``, somebody's home), so it gets its directory as an open file descriptor, and a copy of the
programs when it cannot reach the installed ones.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from tempfile import mkdtemp

from app import launch
from app.errors import SetupError

COPIES = Path("/var/cache/headway")
_NOBODY = 65_534


def choose(home: Path) -> str:
    """Return the launcher's identity for the server whose directory is ``home``, and give it that directory."""
    if os.geteuid() != 0:
        return "same"
    owner = home.stat()
    if owner.st_uid != 0:
        return f"{owner.st_uid}:{owner.st_gid}"
    identity = "namespace" if _succeeds([shutil.which("true") or "/bin/true"], "namespace") else f"{_NOBODY}:{_NOBODY}"
    give(home, identity)
    return identity


def give(directory: Path, identity: str) -> None:
    """Make ``identity`` the owner of a directory and of all that is in it."""
    if identity in {"same", "namespace"}:
        return
    uid, gid = (int(part) for part in identity.split(":"))
    for path in (directory, *directory.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)


def reachable_programs(installed: Path, identity: str) -> Path:
    """Return a Postgres installation that ``identity`` can run: ``installed``, or a copy of it.

    Raises:
        SetupError: neither runs.

    """
    if _runs(installed, identity):
        return installed
    copy = COPIES / f"postgres-{installed.stat().st_mtime_ns}"
    if not copy.exists():
        _copy(installed, copy)
    if not _runs(copy, identity):
        raise SetupError(f"The embedded Postgres does not run on this machine ({copy}). Set HEADWAY_DATABASE_URL.")
    return copy


def _copy(installed: Path, copy: Path) -> None:
    """Copy under another name first: an interrupted copy is never used."""
    COPIES.mkdir(mode=0o755, parents=True, exist_ok=True)
    unfinished = Path(mkdtemp(dir=COPIES))
    for part in ("bin", "lib", "share"):
        shutil.copytree(installed / part, unfinished / part)
    unfinished.chmod(0o755)
    try:
        unfinished.rename(copy)
    except OSError:
        # Another start was faster.
        shutil.rmtree(unfinished)


def _runs(programs: Path, identity: str) -> bool:
    return _succeeds([str(programs / "bin" / "postgres"), "--version"], identity)


def _succeeds(program: list[str], identity: str) -> bool:
    probe = launch.command(program, signal=signal.SIGKILL, identity=identity)
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0
