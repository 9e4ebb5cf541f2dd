"""Deleting so that a kill at any line leaves nothing half-deleted under its own name, and never outside a directory.

A stage may do what it likes with its directory meanwhile. So what is to go is reached step by step from its root, never
through a link, and renamed before anything of it is removed. Done again, it finishes what was begun.
"""

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class OutsideRoot(Exception):
    """What is to be deleted lies outside its root, or is reached through a link; it is left alone."""


def steps_below(root: Path, path: Path) -> tuple[str, ...]:
    """The names that lead from ``root`` to ``path``, one at least; links above ``path`` are followed.

    Raises:
        OutsideRoot: it does not lie there.

    """
    if not path.is_absolute() or path.name in {"", ".", ".."}:
        raise OutsideRoot(f"{path} is no absolute path of something")
    try:
        steps = (path.parent.resolve() / path.name).relative_to(root.resolve()).parts
    except ValueError:
        raise OutsideRoot(f"{path} lies outside {root}") from None
    except (OSError, RuntimeError) as error:  # a loop of links, a name that is too long
        raise OutsideRoot(f"{path} cannot be followed: {error}") from error
    if not steps:
        raise OutsideRoot(f"{path} is {root} itself")
    return steps


def ways_to(root: Path, paths: Iterable[Path]) -> set[tuple[str, ...]]:
    """All steps below ``root`` whose removal would take one of these with it: each itself, and what it lies in.

    A path that is a link needs both the link and what it leads to.
    """
    ways = set()
    for path in paths:
        for way in (path, _followed(path)):
            with suppress(OutsideRoot):
                steps = steps_below(root, way)
                ways |= {steps[:depth] for depth in range(1, len(steps) + 1)}
    return ways


def _followed(path: Path) -> Path:
    """Where a path leads; a relative one nowhere that is known here."""
    try:
        return path.resolve() if path.is_absolute() else path
    except (OSError, ValueError, RuntimeError):
        return path


def remove(root: Path, steps: tuple[str, ...], mark: str) -> None:
    """Remove the file or directory at ``steps`` below ``root``; what is no longer there is gone, and that is fine.

    Args:
        root: where the way begins.
        steps: as ``steps_below`` returns them.
        mark: tells its trash from that of others in the same directory.

    Raises:
        OutsideRoot: one of the steps is a link now.
        OSError: it cannot be removed, or the root is not there: a volume that is not mounted has lost nothing.

    """
    trash = f".trash-{mark}"
    with _directory(root, steps[:-1]) as directory:
        if directory is None:
            return
        _empty(directory, trash)
        with suppress(FileNotFoundError):
            os.rename(steps[-1], trash, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
        _empty(directory, trash)


def _empty(directory: int, trash: str) -> None:
    """Remove the trash; when another process is at it too, look again until nothing is left."""
    while True:
        try:
            if stat.S_ISDIR(os.stat(trash, dir_fd=directory, follow_symlinks=False).st_mode):
                shutil.rmtree(trash, dir_fd=directory)
            else:
                os.unlink(trash, dir_fd=directory)
        except FileNotFoundError:
            if not _exists(directory, trash):
                return


def _exists(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _directory(root: Path, steps: tuple[str, ...]) -> Iterator[int | None]:
    """Open a directory below ``root``, through no link; None if it is not there."""
    directory = os.open(root, _DIRECTORY)
    try:
        for step in steps:
            above, directory = directory, _open_step(directory, step)
            os.close(above)
    except FileNotFoundError:
        os.close(directory)
        yield None
        return
    except OSError as error:
        os.close(directory)
        raise OutsideRoot(f"{step} is no directory of its own: {error.strerror}") from error
    try:
        yield directory
    finally:
        os.close(directory)


def _open_step(directory: int, step: str) -> int:
    return os.open(step, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
