"""The terminal: what people read there. Data for programs goes through ``print_json``."""

from typing import Any, Literal

import msgspec
from rich.console import Console

from app.commands.plain import plain

Output = Literal["table", "json"]
_WIDE = 1_000


def console() -> Console:
    """Make a console for stdout; where no terminal sets a width, nothing is wrapped or cut."""
    found = Console(highlight=False, soft_wrap=True)
    return found if found.is_terminal else Console(highlight=False, soft_wrap=True, width=_WIDE)


def print_json(answer: Any) -> None:
    """Write one JSON value on one line of stdout, at once."""
    print(msgspec.json.encode(answer).decode(), flush=True)  # noqa: T201 - data


def print_line(text: str) -> None:
    """Write one line to stdout, at once."""
    print(plain(text), flush=True)  # noqa: T201 - data
