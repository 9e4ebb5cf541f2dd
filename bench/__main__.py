"""``make bench``: Headway and other systems run the same shapes on the same servers, turn by turn, on an idle machine.

All are measured from the call that starts a workload to the news of its end. Headway keeps every event in a durable
Postgres, and so does DBOS; Celery and arq keep what they keep in Valkey. The numbers are medians; the first run of each
is a warm-up and not counted. What only Headway does is measured besides (``bench/measures``).
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from cyclopts import App, Parameter

from app.embedded import EmbeddedServer, start_postgres, start_valkey
from bench import headway, peer, plot, report
from bench.headway import Installation
from bench.measures import events, growth, idle, limit, queue_wait, submit, workers
from bench.workloads import WORKLOADS

Seconds = Callable[[str], float]
"""Runs the workload of that name and tells how long it took."""
MEASURES: dict[str, Callable[[Installation], dict[str, float]]] = {
    "idle": idle.measure,
    "limit": limit.measure,
    "queue-wait": queue_wait.measure,
    "events": events.measure,
    "submit": submit.measure,
    "workers": workers.measure,
    "growth": growth.of_pipelines,
}
"""In this order: first what wants a quiet installation."""

app = App(name="bench", help="Measure Headway, and other systems beside it.")


class Programs(NamedTuple):
    """The Python of the environment of each peer that takes part."""

    arq: Path | None
    celery: Path | None
    dbos: Path | None


@app.default
def main(
    *names: Annotated[str, Parameter(help=f"of {', '.join([*WORKLOADS, *MEASURES, 'history'])}")],
    runs: int = 5,
    history: Annotated[tuple[int, ...], Parameter(help="finished pipelines to measure beside")] = (1_000, 100_000),
    arq: Path | None = None,
    celery: Path | None = None,
    dbos: Path | None = None,
) -> None:
    """Measure what is named, or all of it, and report.

    A peer takes part whose Python is given.
    """
    measures = MEASURES | {"history": partial(growth.of_history, lengths=history)}
    if unknown := set(names) - set(WORKLOADS) - set(measures):
        raise SystemExit(f"There is no {', '.join(sorted(unknown))}; there are {', '.join([*WORKLOADS, *measures])}.")
    load_before = os.getloadavg()[0]
    with systems(Programs(arq, celery, dbos)) as (installation, seconds, about):
        measured = {name: measure(name, seconds, runs) for name in WORKLOADS if name in (names or WORKLOADS)}
        figures = {name: told(name, installation, of) for name, of in measures.items() if name in (names or measures)}
    stages = {name: len(WORKLOADS[name].shape()) for name in measured}
    file = report.publish(stages, measured, figures, report.conditions(runs, load_before, about))
    print(f"Kept in {file}.")
    if measured:
        print(f"Drawn in {plot.draw(stages, measured, file.with_suffix('.svg'))}.")


def measure(name: str, systems: dict[str, Seconds], runs: int) -> dict[str, list[float]]:
    """Run a workload on all systems turn by turn, so that what else the machine does hits them alike."""
    times: dict[str, list[float]] = {system: [] for system in systems}
    for turn in range(runs + 1):
        for system, seconds in systems.items():
            took = seconds(name)
            print(f"{name}: {system} took {took:.3f} s" + (" (warm-up)" if turn == 0 else ""), flush=True)
            if turn > 0:
                times[system].append(took)
    return times


def told(
    name: str, installation: Installation, measure: Callable[[Installation], dict[str, float]]
) -> dict[str, float]:
    """Measure, and say that it was done."""
    print(f"{name} …", flush=True)
    return measure(installation)


@contextmanager
def systems(programs: Programs) -> Iterator[tuple[Installation, dict[str, Seconds], dict[str, Any]]]:
    """Start everything; what takes the seconds of a workload, by system, and what is to be known about the peers."""
    with ExitStack() as running:
        scratch = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="headway-bench-")))
        postgres, valkey = running.enter_context(servers(scratch / "servers"))
        installation = running.enter_context(headway.running(scratch / "headway", postgres, valkey))
        peers = {
            name: running.enter_context(peer.running(python, program, variables))
            for name, python, program, variables in _peers(programs, postgres, valkey)
        }
        ours: dict[str, Seconds] = {"headway": lambda name: headway.seconds(installation.client, name, WORKLOADS[name])}
        theirs: dict[str, Seconds] = {name: each.seconds for name, each in peers.items()}
        yield installation, ours | theirs, {name: each.about for name, each in peers.items()}


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


@contextmanager
def servers(data_dir: Path) -> Iterator[tuple[EmbeddedServer, EmbeddedServer]]:
    """A durable Postgres and a Valkey, fresh and gone afterwards."""
    with ExitStack() as running:
        postgres = start_postgres(data_dir)
        running.callback(postgres.stop)
        valkey = start_valkey(data_dir)
        running.callback(valkey.stop)
        yield postgres, valkey


if __name__ == "__main__":
    app()
