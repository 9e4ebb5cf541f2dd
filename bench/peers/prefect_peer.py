"""The same shapes as Prefect flows, in a process beside a Prefect server on the same durable Postgres.

A chain is a flow that calls one task after the other, which Prefect runs in the flow's own thread; what runs side by
side is submitted to Prefect's own thread pool. Since version 3 the flow's process decides about its tasks and tells the
server of them in the background. So each shape has two ends, both measured from the start of its flow: the flow's
return, and, ``stored``, when the server has every task in Postgres as completed.

Set for many small tasks: nothing is cached, no result is kept, no log goes to the server, the server writes what it is
told in batches, once a second, and flows send no heartbeat, because its end costs up to a second of every flow.
``diamonds-2500`` is left out: it would take minutes.

Usage: ``prefect_peer.py`` with a Postgres URL in ``POSTGRES_URL``. It speaks with ``bench`` as ``celery_peer.py`` does,
but answers with both ends. Nothing of Headway is imported.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from urllib.error import URLError

import asyncpg

READY_TIMEOUT_S = 120
POLL_S = 0.05
DATABASE = "prefect"
THREADS = 16
URL = os.environ["POSTGRES_URL"]
SETTINGS = {
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "100",
    "PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS": str(THREADS),
}
with socket.socket() as _listener:
    _listener.bind(("127.0.0.1", 0))
    API = f"http://127.0.0.1:{_listener.getsockname()[1]}/api"
os.environ |= SETTINGS | {"PREFECT_API_URL": API}  # Prefect reads them when it is imported.

from prefect import flow, task  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.futures import wait  # noqa: E402
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings  # noqa: E402


@task(cache_policy=NO_CACHE)
def noop() -> None:
    """Do nothing."""


@task(cache_policy=NO_CACHE)
def fibonacci(n: int) -> int:
    """The light task of the public benchmark."""
    return _fibonacci(n)


def _fibonacci(n: int) -> int:
    return n if n <= 1 else _fibonacci(n - 1) + _fibonacci(n - 2)


@flow
def chain() -> None:
    """One task after the other."""
    for _ in range(100):
        noop()


@flow
def light() -> None:
    """The public benchmark."""
    for _ in range(40):
        fibonacci(10)


@flow
def fan() -> None:
    """A root, children, and what waits for them all."""
    noop()
    wait([noop.submit() for _ in range(1_000)])
    noop()


@flow
def diamonds(count: int) -> None:
    """A → B, C → D, so many times side by side."""
    ends = []
    for _ in range(count):
        first = noop.submit()
        sides = [noop.submit(wait_for=[first]) for _ in range(2)]
        ends.append(noop.submit(wait_for=sides))
    wait(ends)


TASKS = {"chain-100": 100, "light-40": 40, "fan-1000": 1_002, "diamonds-250": 1_000}
COMPLETED = json.dumps({"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}).encode()
FLOWS: dict[str, Callable[[], None]] = {
    "chain-100": chain,
    "light-40": light,
    "fan-1000": fan,
    "diamonds-250": lambda: diamonds(250),
}


@contextmanager
def server() -> Iterator[None]:
    """A Prefect server on a database of its own that answers."""
    asyncio.run(_make_database())
    connection = URL.replace("postgresql://", "postgresql+asyncpg://").replace("/headway?", f"/{DATABASE}?")
    with tempfile.TemporaryDirectory(prefix="prefect-") as home:
        variables = os.environ | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": connection, "PREFECT_HOME": home}
        port = API.removesuffix("/api").rpartition(":")[2]
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
        process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)
        try:
            _wait_for_it(process)
            yield
        finally:
            process.terminate()
            process.wait(READY_TIMEOUT_S)


async def _make_database() -> None:
    session = await asyncpg.connect(URL)
    try:
        await session.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await session.close()


def _wait_for_it(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{API}/health", timeout=5):
                return
        except URLError:
            time.sleep(0.1)
    raise RuntimeError("The Prefect server did not come up; what it said stands above.")


def seconds(workload: str) -> dict[str, float]:
    """Run a workload to both of its ends."""
    wanted = stored() + TASKS[workload]
    started = time.perf_counter()
    FLOWS[workload]()
    returned = time.perf_counter() - started
    while stored() < wanted:
        time.sleep(POLL_S)
    return {"": returned, "stored": time.perf_counter() - started}


def stored() -> int:
    """How many tasks the server knows to have completed."""
    request = urllib.request.Request(f"{API}/task_runs/count", COMPLETED, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=READY_TIMEOUT_S) as answer:
        return int(answer.read())


def main() -> None:
    """Answer until stdin ends."""
    with server(), temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        seconds("light-40")
        versions = {package: version(package) for package in ("prefect", "sqlalchemy", "asyncpg")}
        settings = SETTINGS | {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": None}
        print(json.dumps({"versions": versions, "settings": settings, "workloads": list(FLOWS)}), flush=True)
        for line in sys.stdin:
            print(json.dumps(seconds(line.strip())), flush=True)


if __name__ == "__main__":
    main()
