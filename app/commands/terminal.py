"""The terminal: what people read there. Data for programs goes through ``print_json``."""

import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

Output = Literal["table", "json"]
OutputOption = Annotated[Output, Parameter(name=["--output", "-o"])]
_WIDE = 1_000
_GAP = 2
_NARROWEST = 8
# Whole sequences first, so that "[31m" of a colour does not stay behind; then what is left, line ends excepted; then
# what turns the direction of its text, and what cannot be written at all.
_CONTROLS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    r"|[\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def console() -> Console:
    """Make a console for stdout; where no terminal sets a width, nothing is wrapped or cut."""
    found = Console(highlight=False, soft_wrap=True)
    return found if found.is_terminal else Console(highlight=False, soft_wrap=True, width=_WIDE)


def clean(text: str) -> str:
    """Strip what would steer the terminal; other people's words must not move its cursor or set its title."""
    return _CONTROLS.sub("", text)


def one_line(text: str) -> str:
    """The text for a cell of a table: clean, and without line ends."""
    return " ".join(clean(text).split())


def print_table(columns: str, rows: Sequence[Sequence[object]], *, flexible: str = "") -> None:
    """Draw rows as wide as the terminal is; where it is too narrow, cells of the ``flexible`` columns are cut.

    Both name columns, with commas between. Cells are other people's text: no markup is read from them.
    """
    screen, names = console(), columns.split(", ")
    cells = [["" if cell is None else one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(names, *cells, strict=True)]
    _narrow(widths, [names.index(name) for name in flexible.split(", ") if name], screen.width)
    headers = [Column(name, no_wrap=True, width=width) for name, width in zip(names, widths, strict=True)]
    table = Table(*headers, box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for row in cells:
        table.add_row(*(Text(cell, overflow="ellipsis") for cell in row))
    screen.print(table)


def is_wide(columns: int) -> bool:
    """Whether there is room for so many columns of characters."""
    return console().width >= columns


def print_json(answer: Any) -> None:
    """Write one JSON value on one line of stdout, at once."""
    print(msgspec.json.encode(answer).decode(), flush=True)  # noqa: T201 - data


def print_line(text: str) -> None:
    """Write one line to stdout, at once."""
    print(clean(text), flush=True)  # noqa: T201 - data


def print_text(text: str) -> None:
    """Write a piece of somebody's output to stdout, at once: cleaned for a terminal, as it is for a file or a pipe."""
    sys.stdout.write(clean(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def _narrow(widths: list[int], flexible: Sequence[int], room: int) -> None:
    """Take from the widest flexible columns what is too much."""
    excess = sum(widths) + _GAP * (len(widths) - 1) - room
    while excess > 0 and flexible:
        widest = max(flexible, key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1
        excess -= 1
