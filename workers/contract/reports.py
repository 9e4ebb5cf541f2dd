"""What a stage's process leaves in files: events, an error file, a log.

The stage may do what it likes with its directory while we look. So a file is opened as ``app.artifacts`` says, anew for
every look, and every read is bounded.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from app.artifacts import open_regular
from workers.contract.storable import clean

READ_BYTES_MAX = 1024 * 1024
LINE_BYTES_MAX = 1024 * 1024
"""Well above the largest result, because JSON in ASCII takes up to three times the bytes of the same in UTF-8."""
ERROR_FILE_BYTES_MAX = 64 * 1024
ERROR_MESSAGE_CHARS_MAX = 4_000
TRACEBACK_CHARS_MAX = 16_000


_RESULT = re.compile(rb'"type"\s*:\s*"result"')


class EventTail:
    """The lines that a stage appends to its events file, read as they come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at_end = True
        """False while the last read stopped before the end of the file."""
        self.garbage = 0
        """Lines that are not a JSON object."""
        self.too_long = 0
        """Lines over ``LINE_BYTES_MAX``, left out."""
        self._file: tuple[int, int] | None = None
        self._offset = 0
        self._rest = b""
        self._skipping = False

    def read(self, *, last: bool = False) -> list[dict[str, Any]]:
        """Return what came since the last call, from at most ``READ_BYTES_MAX`` bytes; never raises.

        A line that is still being written is kept for the next call; with ``last``, when nobody can write any more, it
        counts as a line.
        """
        chunk = self._read_bytes()
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if self._skipping and lines:
            del lines[0]
            self._skipping = False
        if self._skipping or len(self._rest) > LINE_BYTES_MAX:
            self.too_long += not self._skipping
            self._skipping = True
            self._rest = b""
        if last and self.at_end:
            lines.append(self._rest)
            self._rest = b""
        return [event for line in lines if (event := self._parse(line)) is not None]

    def _read_bytes(self) -> bytes:
        with open_regular(self.path) as file:
            if file is None:
                self.at_end = True
                return b""
            found = os.fstat(file)
            if (found.st_dev, found.st_ino) != self._file or found.st_size < self._offset:
                # Another file, or one that was emptied: its first line does not continue what we have.
                self._file = (found.st_dev, found.st_ino)
                self._offset, self._rest, self._skipping = 0, b"", False
            chunk = os.pread(file, READ_BYTES_MAX, self._offset)
        self._offset += len(chunk)
        self.at_end = self._offset >= found.st_size
        return chunk

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        if len(line) > LINE_BYTES_MAX:
            self.too_long += 1
            return None
        if not line.strip():
            return None
        try:
            event = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            event = _unreadable(error) if _RESULT.search(line) else None
        if not isinstance(event, dict):
            self.garbage += 1
            return None
        return event


def _unreadable(error: Exception) -> dict[str, Any]:
    """What stands in the place of a result that was meant: without it the stage would complete, and have none."""
    return {"type": "result", "unreadable": clean(str(error), ERROR_MESSAGE_CHARS_MAX)}


def read_error_file(path: Path) -> dict[str, Any] | None:
    """Read what torchelastic's ``record`` left, or any text: ``{message, traceback?}``; None if there is nothing."""
    with open_regular(path) as file:
        text = os.pread(file, ERROR_FILE_BYTES_MAX, 0).decode(errors="replace").strip() if file is not None else ""
    if not text:
        return None
    message, traceback = _torchelastic(text)
    error = {"message": clean(message or text, ERROR_MESSAGE_CHARS_MAX)}
    return error | {"traceback": clean(traceback, TRACEBACK_CHARS_MAX)} if traceback else error


def _torchelastic(text: str) -> tuple[str, str]:
    """Find message and traceback in ``{"message": {"message": …, "extraInfo": {"py_callstack": …}}}`` or the like."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "", ""
    inner = found.get("message") if isinstance(found, dict) else None
    if isinstance(inner, str):
        return inner, ""
    if not isinstance(inner, dict):
        return "", ""
    more = inner.get("extraInfo")
    traceback = more.get("py_callstack") if isinstance(more, dict) else None
    return str(inner.get("message") or ""), str(traceback or "")


def tail_log(path: Path, bytes_max: int) -> str:
    """Read the end of a log, as text that Postgres can store."""
    with open_regular(path) as file:
        if file is None:
            return ""
        start = max(0, os.fstat(file).st_size - bytes_max)
        return clean(os.pread(file, bytes_max, start).decode(errors="replace"))
