"""Headway as its users run it: ``headway up`` on real servers, measured through its HTTP API and its event stream."""

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from app.embedded import EmbeddedServer
from bench.workloads import Workload

READY_TIMEOUT_S = 60
RUN_TIMEOUT_S = 300
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Installation:
    """A running Headway with a client of its API, and the servers below it."""

    client: httpx2.Client
    port: int
    process: subprocess.Popen[bytes]
    postgres: EmbeddedServer
    valkey: EmbeddedServer
    settings: dict[str, str]
    """In the environment of each of its processes."""


@contextmanager
def running(data_dir: Path, postgres: EmbeddedServer, valkey: EmbeddedServer) -> Iterator[Installation]:
    """An API with a scheduler and a worker behind it, all with default settings but for the size of a pipeline.

    Raises:
        RuntimeError: it did not come up in ``READY_TIMEOUT_S``.

    """
    port = free_port()
    settings = {
        "HEADWAY_DATA_DIR": str(data_dir),
        "HEADWAY_DATABASE_URL": postgres.url,
        "HEADWAY_REDIS_URL": valkey.url,
        "HEADWAY_STAGES_MAX": "10000",
        "HEADWAY_LOG_LEVEL": "warning",
        "HEADWAY_TASK_MODULES": "bench.light",
        "PYTHONPATH": str(ROOT),
    }
    process = start(settings, "up", "--port", str(port))
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=RUN_TIMEOUT_S) as client:
            _wait_for_a_worker(client, process)
            yield Installation(client, port, process, postgres, valkey, settings)
    finally:
        process.terminate()
        process.wait(READY_TIMEOUT_S)


def start(settings: dict[str, str], *command: str) -> subprocess.Popen[bytes]:
    """Start ``headway`` with this command."""
    program = [sys.executable, "-m", "app.cli", *command]
    return subprocess.Popen(program, env=os.environ | settings, stdout=subprocess.DEVNULL)


def seconds(client: httpx2.Client, name: str, workload: Workload) -> float:
    """Run a workload from the start call to the end of its event stream; storing it before that is not counted."""
    return run(client, [create(client, name, workload)], len(workload.shape()))


def create(client: httpx2.Client, name: str, workload: Workload) -> str:
    """Store a workload as a pipeline; return its path."""
    stages = [{"name": s, "task": workload.task, "depends_on": waits} for s, waits in workload.shape().items()]
    created = client.post("/api/v1/pipelines", json={"name": name, "stages": stages}).raise_for_status()
    return f"/api/v1/pipelines/{created.json()['uuid']}"


def run(client: httpx2.Client, paths: list[str], stages: int) -> float:
    """Start pipelines of so many stages each and follow them to the last end; return the seconds.

    Raises:
        RuntimeError: not every stage was told to have completed, once each.

    """
    started = time.perf_counter()
    for path in paths:
        client.post(f"{path}/start").raise_for_status()
    told = [told_to_the_end(client, path) for path in paths]
    took = time.perf_counter() - started
    if any(each["stage.completed"] != stages or each["pipeline.completed"] != 1 for each in told):
        raise RuntimeError(f"{', '.join(paths)} did not complete: {[dict(each) for each in told]}")
    return took


def told_to_the_end(client: httpx2.Client, path: str) -> Counter[str]:
    """Follow a pipeline to its end; how many events of each type it had."""
    with client.stream("GET", f"{path}/events") as stream:
        stream.raise_for_status()
        return Counter(line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: "))


def _wait_for_a_worker(client: httpx2.Client, up: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and up.poll() is None:
        try:
            if "fibonacci" in client.get("/api/v1/task-types").text:
                return
        except httpx2.TransportError:
            pass  # It is still starting.
        time.sleep(0.1)
    raise RuntimeError("Headway did not come up; what it said stands above.")


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
