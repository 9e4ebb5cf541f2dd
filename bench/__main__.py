"""``make bench``: Headway and Celery run the same shapes on the same Valkey, turn by turn, on an idle machine.

Both are measured from the call that starts a workload to the news of its end. Headway keeps every event in a durable
Postgres, Celery its results in Valkey. The numbers are medians; the first run of each is a warm-up and not counted.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from app.embedded import EmbeddedServer, start_postgres, start_valkey
from bench import headway, peer, report
from bench.workloads import WORKLOADS

Seconds = Callable[[str], float]
"""Runs the workload of that name and tells how long it took."""

app = App(name="bench", help="Measure Headway, and Celery beside it.")


@app.default
def main(
    *workloads: str,
    runs: int = 5,
    celery: Annotated[Path | None, Parameter(help="the Python of an environment with Celery")] = None,
) -> None:
    """Measure the workloads, all when none is named, and report."""
    load_before = os.getloadavg()[0]
    names = workloads or tuple(WORKLOADS)
    with systems(celery) as (seconds, about_celery):
        measured = {name: measure(name, seconds, runs) for name in names}
    stages = {name: len(WORKLOADS[name]()) for name in names}
    file = report.publish(stages, measured, report.conditions(runs, load_before, about_celery))
    print(f"Kept in {file}.")


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


@contextmanager
def systems(celery: Path | None) -> Iterator[tuple[dict[str, Seconds], dict[str, Any]]]:
    """Start everything; what takes the seconds of a workload, by system, and what is to be known about Celery."""
    with ExitStack() as running:
        scratch = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="headway-bench-")))
        postgres, valkey = running.enter_context(servers(scratch / "servers"))
        client = running.enter_context(headway.running(scratch / "headway", postgres, valkey))
        ours = {"headway": lambda name: headway.seconds(client, name, WORKLOADS[name]())}
        if celery is None:
            yield ours, {}
        else:
            theirs = running.enter_context(peer.running(celery, valkey))
            yield ours | {"celery": theirs.seconds}, theirs.about


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
