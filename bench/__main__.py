"""``make bench``: Headway and other systems run the same shapes on the same servers, turn by turn, on an idle machine.

All are measured from the call that starts a workload to the news of its end. Headway keeps every event in a durable
Postgres, and so does DBOS; Celery and arq keep what they keep in Valkey. The numbers are medians; the first run of each
is a warm-up and not counted. What only Headway does is measured besides (``bench/measures``).
"""

import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from cyclopts import App, Parameter

from app.embedded import EmbeddedServer
from bench import headway, peer, plot, report
from bench.headway import Installation
from bench.measures import events, growth, history, idle, limit, queue_wait, submit, workers
from bench.peer import Peer
from bench.servers import servers
from bench.watched import Watched
from bench.workloads import WORKLOADS

Seconds = Callable[[str], dict[str, float]]
"""Runs the workload of that name and tells how long it took, by system."""
MEASURES: dict[str, Callable[[Installation], dict[str, float]]] = {
    "idle": idle.measure,
    "limit": limit.measure,
    "queue-wait": queue_wait.measure,
    "events": events.measure,
    "submit": submit.measure,
    "workers": workers.measure,
    "growth": growth.measure,
}
"""In this order: first what wants a quiet installation."""
SLOW_S, SLOW_RUNS = 20, 2
"""A system that takes longer for a workload is not measured more often."""

app = App(name="bench", help="Measure Headway, and other systems beside it.")


class Programs(NamedTuple):
    """The Python of the environment of each peer that takes part."""

    arq: Path | None = None
    celery: Path | None = None
    dbos: Path | None = None
    prefect: Path | None = None


@app.default
def main(
    *names: Annotated[str, Parameter(help=f"of {', '.join([*WORKLOADS, *MEASURES, 'history'])}")],
    runs: int = 5,
    lengths: Annotated[
        tuple[int, ...],
        Parameter(name="--history", consume_multiple=True, help="finished pipelines to measure beside, fewest first"),
    ] = (1_000, 100_000),
    arq: Path | None = None,
    celery: Path | None = None,
    dbos: Path | None = None,
    prefect: Path | None = None,
    picture: Annotated[Path | None, Parameter(help="where to draw the workloads, besides the results")] = None,
) -> None:
    """Measure what is named, or all of it, and report.

    A peer takes part whose Python is given.
    """
    measures = MEASURES | {"history": partial(history.measure, lengths=lengths)}
    if unknown := set(names) - set(WORKLOADS) - set(measures):
        raise SystemExit(f"There is no {', '.join(sorted(unknown))}; there are {', '.join([*WORKLOADS, *measures])}.")
    workloads = [name for name in WORKLOADS if name in (names or WORKLOADS)]
    programs = Programs(arq, celery, dbos, prefect) if workloads else Programs()
    load_before = os.getloadavg()[0]
    with installed() as installation:
        watched = Watched(installation)
        with peers(programs, installation) as others:
            measured = {
                name: measure(
                    name, [watched.seconds, *(each.seconds for each in others.values() if each.takes(name))], runs
                )
                for name in workloads
            }
        figures = {name: told(name, installation, of) for name, of in measures.items() if name in (names or measures)}
        if workloads:
            figures = watched.figures(limit.of_commits(figures)) | figures
    stages = {name: len(WORKLOADS[name].shape()) for name in measured}
    conditions = report.conditions(runs, load_before, {name: each.about for name, each in others.items()})
    file = report.publish(stages, measured, figures, conditions)
    print(f"Kept in {file}.")
    for place in (file.with_suffix(".svg"), picture):
        if measured and place:
            print(f"Drawn in {plot.draw(stages, measured, conditions, place)}.")


def measure(name: str, systems: list[Seconds], runs: int) -> dict[str, list[float]]:
    """Run a workload on all systems turn by turn, so that what else the machine does hits them alike."""
    times: dict[str, list[float]] = defaultdict(list)
    slow: set[Seconds] = set()
    for turn in range(runs + 1):
        for seconds in [system for system in systems if system not in slow]:
            for system, took in seconds(name).items():
                print(f"{name}: {system} took {took:.3f} s" + (" (warm-up)" if turn == 0 else ""), flush=True)
                if turn > 0:
                    times[system].append(took)
                if turn == SLOW_RUNS and took > SLOW_S:
                    slow.add(seconds)
    return dict(times)


def told(
    name: str, installation: Installation, measure: Callable[[Installation], dict[str, float]]
) -> dict[str, float]:
    """Measure, and say that it was done."""
    print(f"{name} …", flush=True)
    return measure(installation)


@contextmanager
def installed() -> Iterator[Installation]:
    """Headway on fresh servers; all is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="headway-bench-") as scratch,
        servers(Path(scratch) / "servers") as at,
        headway.running(Path(scratch) / "headway", *at) as installation,
    ):
        yield installation


@contextmanager
def peers(programs: Programs, installation: Installation) -> Iterator[dict[str, Peer]]:
    """The peers on the same servers, by name; they have ended when Headway is measured alone."""
    with ExitStack() as running:
        yield {
            name: running.enter_context(peer.running(name, python, program, variables))
            for name, python, program, variables in _peers(programs, installation.postgres, installation.valkey)
        }


def _peers(
    programs: Programs, postgres: EmbeddedServer, valkey: EmbeddedServer
) -> Iterator[tuple[str, Path, str, dict[str, str]]]:
    """The name of each peer, its Python, its program, and where its server is."""
    socket = {"VALKEY_SOCKET": urlsplit(valkey.url).path}
    if programs.celery:
        yield "celery", programs.celery, "celery_peer.py", socket
        yield "celery, safe", programs.celery, "celery_peer.py", socket | {"CELERY_IS_SAFE": "1"}
    if programs.arq:
        yield "arq", programs.arq, "arq_peer.py", socket
    if programs.dbos:
        url = postgres.url.replace("/headway?", "/dbos?")
        yield "dbos", programs.dbos, "dbos_peer.py", {"POSTGRES_URL": url}
    if programs.prefect:
        yield "prefect", programs.prefect, "prefect_peer.py", {"POSTGRES_URL": postgres.url}


if __name__ == "__main__":
    app()
