"""``make bench``: Headway and Celery run the same shapes on the same Valkey, one after the other, on an idle machine.

Both are measured from the call that starts a workload to the news of its end. Headway keeps every event in a durable
Postgres, Celery its results in Valkey. The numbers are medians; the first run of each is a warm-up and not counted.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from cyclopts import App, Parameter

from app.embedded import EmbeddedServer, start_postgres, start_valkey
from bench import headway, report
from bench.workloads import WORKLOADS, Shape

app = App(name="bench", help="Measure Headway, and Celery beside it.")


@app.default
def main(
    *workloads: str,
    runs: int = 5,
    celery: Annotated[Path | None, Parameter(help="the Python of an environment with Celery")] = None,
) -> None:
    """Measure the workloads, all when none is named, and report."""
    shapes = {name: WORKLOADS[name]() for name in workloads or WORKLOADS}
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as scratch, servers(Path(scratch)) as (postgres, valkey):
        measured = {"headway": run_headway(Path(scratch), postgres, valkey, shapes, runs)}
        peer = run_celery(celery, valkey, list(shapes), runs) if celery else {}
    if peer:
        measured["celery"] = peer["timings"]
    stages = {name: len(shape) for name, shape in shapes.items()}
    file = report.publish(stages, measured, report.conditions(runs, load_before, peer))
    print(f"Kept in {file}.")


@contextmanager
def servers(scratch: Path) -> Iterator[tuple[EmbeddedServer, EmbeddedServer]]:
    """A durable Postgres and a Valkey, fresh and gone afterwards."""
    with ExitStack() as running:
        postgres = start_postgres(scratch / "servers")
        running.callback(postgres.stop)
        valkey = start_valkey(scratch / "servers")
        running.callback(valkey.stop)
        yield postgres, valkey


def run_headway(
    scratch: Path, postgres: EmbeddedServer, valkey: EmbeddedServer, shapes: dict[str, Shape], runs: int
) -> report.Timings:
    """Measure Headway in processes of its own."""
    print("Headway …", flush=True)
    with headway.running(scratch / "headway", postgres, valkey) as client:
        return {name: headway.measure(client, name, shape, runs) for name, shape in shapes.items()}


def run_celery(python: Path, valkey: EmbeddedServer, workloads: list[str], runs: int) -> dict[str, Any]:
    """Measure Celery in its own environment; return what ``celery_peer.py`` prints."""
    print("Celery …", flush=True)
    program = [str(python), str(Path(__file__).with_name("celery_peer.py")), str(runs), *workloads]
    environment = os.environ | {"VALKEY_SOCKET": urlsplit(valkey.url).path}
    done = subprocess.run(program, env=environment, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    app()
