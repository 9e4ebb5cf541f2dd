"""The same shapes as DBOS workflows: durable steps in Postgres, as Headway's are; a program of its own.

A chain is a workflow with one step after the other. What runs side by side are workflows of one step, started in the
background, which is faster than by a queue. Each shape is measured from its start to the result of its workflow.

Usage: ``dbos_peer.py`` with a Postgres URL in ``POSTGRES_URL``. It speaks with ``bench`` as ``celery_peer.py`` does.
Nothing of Headway is imported.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

from dbos import DBOS, DBOSConfig

config: DBOSConfig = {
    "name": "bench",
    "system_database_url": os.environ["POSTGRES_URL"],
    "run_admin_server": False,
    "log_level": "ERROR",
}
DBOS(config=config)


@DBOS.step()
def noop() -> None:
    """Do nothing."""


@DBOS.step()
def fibonacci(n: int) -> int:
    """The light task of the public benchmark."""
    return _fibonacci(n)


def _fibonacci(n: int) -> int:
    return n if n <= 1 else _fibonacci(n - 1) + _fibonacci(n - 2)


@DBOS.workflow()
def one() -> None:
    """What runs beside others."""
    noop()


@DBOS.workflow()
def diamond() -> None:
    """A → B, C → D; with B and C side by side."""
    noop()
    for handle in [DBOS.start_workflow(one), DBOS.start_workflow(one)]:
        handle.get_result()
    noop()


@DBOS.workflow()
def chain() -> None:
    """One step after the other."""
    for _ in range(100):
        noop()


@DBOS.workflow()
def light() -> None:
    """The public benchmark."""
    for _ in range(40):
        fibonacci(10)


@DBOS.workflow()
def fan() -> None:
    """A root, children, and what waits for them all."""
    noop()
    for handle in [DBOS.start_workflow(one) for _ in range(1_000)]:
        handle.get_result()
    noop()


WORKFLOWS: dict[str, Callable[[], None]] = {"chain-100": chain, "light-40": light, "fan-1000": fan}


def diamonds(count: int) -> None:
    """So many diamonds, side by side."""
    for handle in [DBOS.start_workflow(diamond) for _ in range(count)]:
        handle.get_result()


def seconds(workload: str) -> float:
    """Run a workload to its end."""
    started = time.perf_counter()
    if workload.startswith("diamonds-"):
        diamonds(int(workload.partition("-")[2]))
    else:
        DBOS.start_workflow(WORKFLOWS[workload]).get_result()
    return time.perf_counter() - started


def main() -> None:
    """Answer until stdin ends."""
    DBOS.launch()
    try:
        seconds("light-40")
        print(json.dumps({"versions": {"dbos": version("dbos")}, "settings": {}}), flush=True)
        for line in sys.stdin:
            print(seconds(line.strip()), flush=True)
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    main()
