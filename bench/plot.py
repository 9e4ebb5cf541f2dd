"""The medians as a picture that can be read on a light page and on a dark one: an SVG without scripts, links or fonts.

One group of bars a workload, one bar a system, as long as its stages per second; a line across its end from the
slowest to the fastest run. The scale is logarithmic, because the systems lie orders of magnitude apart.
"""

from collections.abc import Iterator
from html import escape
from math import ceil, floor, log10
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench.report import Measured, over_celery
from bench.workloads import WORKLOADS

WIDTH, LEFT, RIGHT, ROW, GROUP, TOP, FOOT = 800, 130, 170, 18, 36, 64, 64
RATE, RATIO = WIDTH - 90, WIDTH - 24
"""Where the figures end."""
FIRST = "headway"
STYLE = """
svg{font:12px system-ui,sans-serif;fill:#1f2328}.card{fill:#fff;stroke:#d1d9e0}.t{font-size:16px;font-weight:600}
.w{font-weight:600}.q{fill:#59636e}.e{text-anchor:end}.m{text-anchor:middle}.b{fill:#a8b0b9}.h{fill:#1a7f5f}
.g{stroke:#d1d9e0}.s{stroke:#1f2328;stroke-width:1.5}
@media(prefers-color-scheme:dark){svg{fill:#e6edf3}.card{fill:#0d1117;stroke:#3d444d}.q{fill:#9198a1}.b{fill:#656c76}
.h{fill:#3fb992}.g{stroke:#2a313c}.s{stroke:#e6edf3}}"""


class _Scale(NamedTuple):
    """Powers of ten at both ends."""

    first: int
    last: int

    def x(self, rate: float) -> float:
        share = (log10(rate) - self.first) / (self.last - self.first)
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def draw(stages: dict[str, int], measured: Measured, conditions: dict[str, Any], file: Path) -> Path:
    """Write the picture and return where."""
    rates = [stages[name] / s for name, systems in measured.items() for times in systems.values() for s in times]
    scale = _Scale(floor(log10(min(rates))), ceil(log10(max(rates))))
    bottom = TOP
    groups: list[str] = []
    for name, timings in measured.items():
        groups += _group(bottom, name, stages[name], timings, scale)
        bottom += GROUP + ROW * len(timings)
    height = bottom + FOOT
    picture = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>Stages per second of Headway and other systems</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        _text(24, 32, "Stages per second", "t"),
        _text(24, 52, f"median of {conditions['runs']} runs; line: slowest to fastest; logarithmic scale", "q"),
        _text(RATE, 52, "stages/s", "q e"),
        _text(RATIO, 52, "× Celery", "q e"),
        *_grid(scale, bottom + 8),
        *groups,
        *(_text(24, bottom + 36 + 16 * n, line, "q") for n, line in enumerate(_conditions(measured, conditions))),
        "</svg>",
    ]
    file.write_text("\n".join(picture) + "\n")
    return file


def _group(y: int, name: str, stages: int, timings: dict[str, list[float]], scale: _Scale) -> Iterator[str]:
    heading = f'<tspan class="w">{escape(name)}</tspan> {escape(WORKLOADS[name].about)}'
    yield f'<text x="24" y="{y + 26}">{heading}</text>'
    for n, (system, times) in enumerate(timings.items()):
        rates = [stages / seconds for seconds in times]
        yield from _row(y + GROUP - 4 + n * ROW, system, rates, over_celery(timings, system), scale)


def _row(y: int, system: str, runs: list[float], ratio: float | None, scale: _Scale) -> Iterator[str]:
    middle, end = median(runs), y + 13
    kind = "h" if system == FIRST else "b"
    yield _text(LEFT - 8, end, system, "e w" if system == FIRST else "e")
    yield f'<rect class="{kind}" x="{LEFT}" y="{y + 3}" width="{scale.x(middle) - LEFT:.1f}" height="{ROW - 6}"/>'
    yield f'<path class="s" d="M{scale.x(min(runs)):.1f} {y + 9}H{scale.x(max(runs)):.1f}"/>'
    yield _text(RATE, end, f"{middle:,.0f}", "e")
    if ratio is not None:
        yield _text(RATIO, end, f"{ratio:.{1 if ratio >= 1 else 2}f}", "e")


def _grid(scale: _Scale, bottom: int) -> Iterator[str]:
    for power in range(scale.first, scale.last + 1):
        x = scale.x(10.0**power)
        yield f'<path class="g" d="M{x:.1f} {TOP + 8}V{bottom - 4}"/>'
        yield _text(x, bottom + 8, f"{10**power:,}", "q m")


def _text(x: float, y: int, text: str, style: str) -> str:
    return f'<text x="{x:g}" y="{y}" class="{style}">{escape(text)}</text>'


def _conditions(measured: Measured, conditions: dict[str, Any]) -> Iterator[str]:
    """What the figures were measured on."""
    systems = dict.fromkeys(system.partition(",")[0] for timings in measured.values() for system in timings)
    machine, python, day = (conditions[name] for name in ("machine", "python", "at"))
    yield f"{machine}, Python {python}, one Postgres and one Valkey; {day[:10]}, load {conditions['load before']}"
    yield ", ".join(f"{name} {_version(name, conditions[name])}" for name in systems)


def _version(system: str, about: dict[str, Any]) -> str:
    return str(about.get("versions", about)[system])
