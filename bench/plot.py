"""The medians as a picture: one group of bars a workload, one bar a system, as long as its stages per second.

The scale is logarithmic, because the systems lie orders of magnitude apart.
"""

from collections.abc import Iterator
from html import escape
from math import log10
from pathlib import Path
from statistics import median

from bench.report import Measured

COLOURS = {"headway": "#2f6f5e", "celery": "#8a8f98", "celery, safe": "#a9adb5", "arq": "#c2c5ca", "dbos": "#d6d8dc"}
WIDTH, LEFT, RIGHT, ROW, GAP, TOP = 760, 200, 90, 18, 14, 34
DECADES = (1, 10_000)
"""Where the scale begins and ends, in stages per second."""


def draw(stages: dict[str, int], measured: Measured, file: Path) -> Path:
    """Write the picture and return where."""
    rows = list(_rows(stages, measured))
    height = TOP + len(rows) * ROW + len(measured) * GAP
    picture = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20" font-size="12" fill="#444">stages per second, logarithmic; longer is faster</text>',
        *rows,
        "</svg>",
    ]
    file.write_text("\n".join(picture) + "\n")
    return file


def _rows(stages: dict[str, int], measured: Measured) -> Iterator[str]:
    y = TOP
    for workload, timings in measured.items():
        for n, (system, seconds) in enumerate(timings.items()):
            name = f"{workload} · {system}" if n == 0 else system
            yield _row(y, name, stages[workload] / median(seconds), COLOURS.get(system, "#d6d8dc"))
            y += ROW
        y += GAP


def _row(y: int, name: str, rate: float, colour: str) -> str:
    first, last = map(log10, DECADES)
    share = min(max((log10(rate) - first) / (last - first), 0.0), 1.0)
    length = share * (WIDTH - LEFT - RIGHT)
    return (
        f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end" font-size="12" fill="#222">{escape(name)}</text>'
        f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{ROW - 5}" fill="{colour}"/>'
        f'<text x="{LEFT + length + 6:.1f}" y="{y + 12}" font-size="12" fill="#222">{rate:,.0f}</text>'
    )
