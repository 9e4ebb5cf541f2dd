"""Text of others, made safe to be shown on a terminal."""

import re

_NOT_PLAIN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What drives a terminal, turns the direction of its text, or cannot be written to it."""


def plain(text: str) -> str:
    """Show by its number what a terminal would obey instead of showing it; a stage may say anything."""
    return _NOT_PLAIN.sub(lambda found: ascii(found[0])[1:-1], text)
