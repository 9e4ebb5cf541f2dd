"""Which failures are of one kind: what differs from run to run is left out of the line that they are known by."""

import re
from hashlib import sha256

from schemas.diagnosis import Category

LENGTH = 16
_VARIES = re.compile(
    r"0x[0-9a-f]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b"
    r"|(?<![\w.])(?:[a-z]+:/)?(?:~|\.{1,2})?/[^\s'\",:;)\]]*|\d+(?:[.,:]\d+)*(?:e[+-]?\d+)?",
    re.IGNORECASE,
)


def fingerprint(category: Category, line: str, frame: str) -> str:
    """Name a kind of failure: its category, its line without numbers, paths and ids, and where it was raised."""
    stable = " ".join(_VARIES.sub("#", line.lower()).split())
    return sha256(f"{category}\n{stable}\n{frame}".encode(errors="replace")).hexdigest()[:LENGTH]
