"""Whether new work costs more beside a long history, with its tables and indexes in memory and without."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from app.db.migrate import migrate
from bench import headway
from bench.headway import Installation
from bench.measures import submit
from bench.measures.fill import fill
from bench.servers import forget, servers
from bench.workloads import WORKLOADS

SHAPES = ("chain-100", "diamonds-250")
WARM_RUNS, COLD_RUNS = 9, 5
BYTES_A_PIPELINE = 10_000
"""On the disk, with indexes, the write-ahead log and some room."""


def measure(_: Installation, lengths: Sequence[int]) -> dict[str, float]:
    """The same work beside so many finished pipelines, on servers of its own, and its cost as a ratio to the first.

    Raises:
        RuntimeError: the disk has no room for them.

    """
    warm: dict[str, dict[str, float]] = {}
    cold: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="headway-history-") as scratch:
        _require_room(Path(scratch), max(lengths))
        for before, length in zip((0, *lengths), lengths, strict=False):
            size = _grown(Path(scratch), before + 1, length)
            print(f"history: {length:,} finished pipelines, {size:.1f} GB", flush=True)
            if not warm:
                _warm(Path(scratch))  # Not counted: a fresh Postgres makes its first files meanwhile.
            warm[f"warm, {length:,} finished"] = _warm(Path(scratch))
            cold[f"cold, {length:,} finished"] = _cold(Path(scratch))
    rows = _compared(warm) | _compared(cold)
    return {f"{name}: {what}": figure for name, row in rows.items() for what, figure in row.items()}


def _compared(told: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Beside each cost, how it stands to that beside the shortest history."""
    first = next(iter(told.values()))
    return {
        name: row | {f"{what.partition(' ')[0]} ×": cost / first[what] for what, cost in row.items()}
        for name, row in told.items()
    }


def _grown(scratch: Path, first: int, last: int) -> float:
    with servers(scratch) as (postgres, _):
        asyncio.run(migrate(postgres.url))
        return fill(postgres.url, first, last)


def _warm(scratch: Path) -> dict[str, float]:
    """Medians on an installation that has been at work; the history was just written, so memory has it."""
    with _installation(scratch) as installation:
        runs = {name: [_ms(installation, name) for _ in range(WARM_RUNS + 1)][1:] for name in SHAPES}
        submits = submit.measure(installation)["pipelines/s"]
    return {f"{name} ms/stage": median(times) for name, times in runs.items()} | {"submit ms": 1_000 / submits}


def _cold(scratch: Path) -> dict[str, float]:
    """Medians of the very first run after everything was stopped and its files forgotten by the kernel."""
    return {f"{name} ms/stage": median(_first(scratch, name) for _ in range(COLD_RUNS)) for name in SHAPES}


def _first(scratch: Path, name: str) -> float:
    forget(scratch)
    with _installation(scratch) as installation:
        return _ms(installation, name)


def _ms(installation: Installation, name: str) -> float:
    workload = WORKLOADS[name]
    return 1_000 * headway.seconds(installation.client, name, workload) / len(workload.shape())


@contextmanager
def _installation(scratch: Path) -> Iterator[Installation]:
    with servers(scratch) as at, headway.running(scratch / "headway", *at) as installation:
        yield installation


def _require_room(scratch: Path, length: int) -> None:
    free = shutil.disk_usage(scratch).free
    if free < length * BYTES_A_PIPELINE:
        raise RuntimeError(
            f"{length:,} finished pipelines take {length * BYTES_A_PIPELINE / 1e9:.0f} GB, and {scratch.parent} has "
            f"{free / 1e9:.0f} GB; set TMPDIR or ask for less: --history 1000 100000"
        )
