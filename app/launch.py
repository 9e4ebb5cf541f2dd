"""Run a program that ends when its parent does, under another identity if asked; the pid stays the same.

Usage: ``python -I -S launch.py PARENT_PID SIGNAL IDENTITY PROGRAM [ARG…]``. IDENTITY is ``same``, ``namespace`` (a user
namespace where root looks like an ordinary user and still owns its files) or ``UID:GID``.

It is a program of its own, not a ``preexec_fn``, because code between fork and exec deadlocks in a threaded parent. The
kernel sends SIGNAL when the *thread* that started us ends, so start it from a thread that lives as long as its process.
"""

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_NAMESPACE_ID = 1000


def command(program: list[str], *, signal: int, identity: str = "same") -> list[str]:
    """Return the argv that runs ``program`` as a child which gets ``signal`` when this process ends."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(signal)), identity, *program]


def _main(parent: int, signal: int, identity: str, program: list[str]) -> None:
    if identity == "namespace":
        _enter_user_namespace()
    elif identity != "same":
        _become(*(int(part) for part in identity.split(":")))
    if sys.platform == "linux":
        # After the change of identity: that clears the setting.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:
        raise SystemExit("The parent process is gone.")
    os.execv(program[0], program)  # noqa: S606 - no shell is what we want


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    os.setgroups([])
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"{_NAMESPACE_ID} {uid} 1")
    (own / "gid_map").write_text(f"{_NAMESPACE_ID} {gid} 1")


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
