"""Directories that are whole or absent, whatever is killed while they are written.

The files come first, then a manifest with their sizes and SHA-256, all of it under a temporary name and fsynced; the
rename at the end makes it appear. Whoever reads one checks it against its manifest, so a torn disk is noticed too.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

MANIFEST = "manifest.json"


class Torn(Exception):
    """The directory is not what its manifest says, or has none; the message names the file."""


class FileDigest(Struct, frozen=True):
    """What a file of the directory must be."""

    bytes: int
    sha256: str


class Manifest(Struct, kw_only=True):
    """The files of a directory, by name; each kind of directory adds what it wants to know about itself."""

    files: dict[str, FileDigest]


M = TypeVar("M", bound=Manifest)


def publish(target: Path, write: Callable[[Path], None], about: dict[str, Any]) -> None:
    """Make ``target`` appear with the files that ``write`` makes in the directory it is given.

    Args:
        target: the new directory; what is there under this name is replaced.
        write: writes plain files, no subdirectories.
        about: the fields of the manifest besides ``files``.

    """
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write(temporary)
    files = {path.name: _digest(path) for path in sorted(temporary.iterdir())}
    for name in files:
        _fsync(temporary / name)
    (temporary / MANIFEST).write_bytes(msgspec.json.encode({**about, "files": files}))
    _fsync(temporary / MANIFEST)
    _fsync(temporary)
    if target.exists():
        shutil.rmtree(target)
    temporary.rename(target)
    _fsync(target.parent)


def read_manifest(directory: Path, kind: type[M]) -> M:
    """Return the manifest of a directory after checking every file against it.

    Raises:
        Torn: the manifest or a file is missing, unreadable or different.

    """
    path = directory / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=kind)
        for name, expected in manifest.files.items():
            path = directory / name
            if _digest(path) != expected:
                raise Torn(f"{path} is not the file that its manifest describes")
    except (OSError, msgspec.DecodeError) as unreadable:
        raise Torn(f"{path} cannot be read: {unreadable}") from unreadable
    return manifest


def _digest(path: Path) -> FileDigest:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileDigest(path.stat().st_size, sha256)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
