"""Whether a checkpoint on disk is what it was when it was reported: read as carefully as all that a stage leaves.

A directory may say itself what is in it, by a ``manifest.json`` with the size and SHA-256 of each file, as
``workers/training/artifact.py`` writes one last. Without one, what is missing shows by its size.
"""

import hashlib
import os
import stat
from pathlib import Path

import msgspec
from msgspec import Struct

from app.artifacts import ABSENT, open_regular

MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 16 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024
FILES_MAX = 100_000
"""Of more files than that nobody counts the bytes."""


class _File(Struct):
    bytes: int
    sha256: str


class _Manifest(Struct):
    files: dict[str, _File]


def fault_of(path: Path, bytes_min: int) -> str | None:
    """Say what is proved to be wrong with a checkpoint, None if nothing is; reads it whole if it has a manifest.

    Raises:
        OSError: it cannot be read, which proves nothing.

    """
    size = size_of(path)
    if size is None:
        return "it is no longer there"
    if stat.S_ISDIR(path.stat().st_mode) and (fault := _fault_by_manifest(path)):
        return fault
    if size < bytes_min:
        return f"it has {size:,} bytes, and had {bytes_min:,} when it was reported"
    return None


def size_of(path: Path) -> int | None:
    """The bytes of a file, or of all files in a directory; None if there is no such thing.

    Raises:
        OSError: it cannot be read, which proves nothing.

    """
    try:
        found = path.stat()
    except ValueError:
        return None
    except OSError as error:
        _require_absence(error)
        return None
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size
    total = files = 0
    for directory, _, names in os.walk(path, onerror=_require_absence):
        for name in names:
            files += 1
            if files > FILES_MAX:
                return total
            with open_regular(Path(directory, name), strict=True) as file:
                total += os.fstat(file).st_size if file is not None else 0
    return total


def _require_absence(error: OSError) -> None:
    if error.errno not in ABSENT:
        raise error


def _fault_by_manifest(directory: Path) -> str | None:
    with open_regular(directory / MANIFEST, strict=True) as file:
        if file is None:
            return None
        text = os.pread(file, MANIFEST_BYTES_MAX, 0)
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"its {MANIFEST} is torn"
    try:
        manifest = msgspec.convert(found, _Manifest)
    except msgspec.ValidationError:
        return None  # somebody else's, about something else
    return next(
        (fault for name, file in manifest.files.items() if (fault := _fault_of_file(directory, name, file))), None
    )


def _fault_of_file(directory: Path, name: str, expected: _File) -> str | None:
    if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        return f"its {MANIFEST} names a file outside"
    with open_regular(directory / name, strict=True) as file:
        if file is None:
            return f"its file {name} is missing"
        size = os.fstat(file).st_size
        if size != expected.bytes:
            return f"its file {name} has {size:,} bytes, and not {expected.bytes:,}"
        if _sha256(file) != expected.sha256:
            return f"its file {name} has other contents than its {MANIFEST} says"
    return None


def _sha256(file: int) -> str:
    digest, at = hashlib.sha256(), 0
    while chunk := os.pread(file, CHUNK_BYTES, at):
        digest.update(chunk)
        at += len(chunk)
    return digest.hexdigest()
