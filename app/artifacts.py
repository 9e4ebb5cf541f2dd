"""Artifacts on disk: ``<data>/artifacts/<pipeline>/<stage>/<attempt>/``, where each attempt keeps its things.

A stage may do what it likes with its directory while others look. So a file in there is opened anew for every look,
never through a link, never waiting for a writer, and only if it is a regular file.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

FOLDER = "artifacts"
LOG = "log.txt"
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})
"""What proves that there is no such file; all else may be a disk that is away for a moment."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def attempt_directory(data_dir: Path, pipeline: UUID, stage: str, attempt: int) -> Path:
    """Where an attempt keeps its things; the path is absolute."""
    return data_dir.resolve() / FOLDER / str(pipeline) / stage / str(attempt)


@contextmanager
def open_log(data_dir: Path, pipeline: UUID, stage: str, attempt: int) -> Iterator[int | None]:
    """Open the log of an attempt as ``open_regular`` does, and through no directory either that has become a link."""
    try:
        directory = os.open(data_dir / FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for step in (str(pipeline), stage, str(attempt)):
            directory = _open_below(directory, step)
    except OSError:
        yield None
        return
    try:
        with open_regular(Path(LOG), below=directory) as file:
            yield file
    finally:
        os.close(directory)


def _open_below(directory: int, name: str) -> int:
    try:
        return os.open(name, _READ | os.O_DIRECTORY, dir_fd=directory)
    finally:
        os.close(directory)


@contextmanager
def open_regular(path: Path, *, below: int | None = None, strict: bool = False) -> Iterator[int | None]:
    """Open a file for reading; None if it is missing, or is not a file but something that looks like one.

    ``below`` is the descriptor of the directory that a relative path begins in.

    Raises:
        OSError: it is ``strict``, and nobody can say whether the file is missing.

    """
    try:
        file = os.open(path, _READ, dir_fd=below)
    except OSError as error:
        if strict and error.errno not in ABSENT:
            raise
        yield None
        return
    try:
        yield file if stat.S_ISREG(os.fstat(file).st_mode) else None
    finally:
        os.close(file)
