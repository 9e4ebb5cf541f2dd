"""The log of an attempt: its last lines, and what follows a place in it, while it is written and whatever happens.

Places are byte offsets. No read takes more than ``CHUNK_BYTES``, so a log of any size costs the same. A log that got
shorter, or became another file, is begun anew. Text is UTF-8; what is not becomes U+FFFD, and everything else, control
sequences of terminals included, is passed on as it is.
"""

import codecs
import os
from collections.abc import Callable
from contextlib import AbstractContextManager

CHUNK_BYTES = 64 * 1024
TAIL_BYTES_MAX = 1024 * 1024
CHARACTER_BYTES_MAX = 4

Opener = Callable[[], AbstractContextManager[int | None]]


def tail_start(file: int, lines: int) -> int:
    """Where the last ``lines`` lines begin, but not more than ``TAIL_BYTES_MAX`` before the end."""
    size = os.fstat(file).st_size
    if lines == 0:
        return size
    floor = max(0, size - TAIL_BYTES_MAX)
    start, found = size, size
    while start > floor:
        end, start = start, max(floor, start - CHUNK_BYTES)
        block = os.pread(file, end - start, start)
        at = len(block) - (end == size and block.endswith(b"\n"))  # the last newline ends a line and begins none
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            found, lines = start + at + 1, lines - 1
            if lines == 0:
                return found
    if floor == 0:
        return 0
    return found if found < size else floor + _rest_of_character(os.pread(file, CHARACTER_BYTES_MAX, floor))


def _rest_of_character(data: bytes) -> int:
    """How many bytes belong to a character that began before them."""
    return next((n for n, byte in enumerate(data) if byte & 0xC0 != 0x80), 0)  # noqa: PLR2004 - UTF-8's continuation


class LogReader:
    """Reads on in one attempt's log. ``place`` is behind the last character that was given out."""

    def __init__(self, opener: Opener, place: int = 0) -> None:
        self.place = place
        self.seen = False
        """Whether there is such a file."""
        self._open = opener
        self._file: tuple[int, int] | None = None

    def skip_to_tail(self, lines: int) -> None:
        """Begin with the last lines, or with the first ones of a log that is still to come."""
        with self._open() as file:
            if file is not None:
                self._recognise(file)
                self.place = tail_start(file, lines)

    def read(self, *, last: bool = False) -> str:
        """What follows, nothing at the end of the file; with ``last``, when nobody writes any more, all of it."""
        with self._open() as file:
            if file is None:
                return ""
            self._recognise(file)
            data = os.pread(file, CHUNK_BYTES, self.place)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(data, final=last and len(data) < CHUNK_BYTES)
        # A character that is not complete is read again, with its rest.
        self.place += len(data) - len(decoder.getstate()[0])
        return text

    def _recognise(self, file: int) -> None:
        found = os.fstat(file)
        identity = (found.st_dev, found.st_ino)
        if found.st_size < self.place or self._file not in {None, identity}:
            self.place = 0
        self._file, self.seen = identity, True
