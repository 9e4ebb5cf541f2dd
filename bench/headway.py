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


@contextmanager
def running(data_dir: Path, postgres: EmbeddedServer, valkey: EmbeddedServer) -> Iterator[Installation]:
    """An API with a scheduler and a worker behind it, all with default settings but for the size of a pipeline.

    Raises:
        RuntimeError: it did not come up in ``READY_TIMEOUT_S``.

    """
    port = _free_port()
    settings = {
        "HEADWAY_DATABASE_URL": postgres.url,
        "HEADWAY_REDIS_URL": valkey.url,
        "HEADWAY_STAGES_MAX": "10000",
        "HEADWAY_LOG_LEVEL": "warning",
        "HEADWAY_TASK_MODULES": "bench.light",
        "PYTHONPATH": str(ROOT),
    }
    up = [sys.executable, "-m", "app.cli", "up", "--data-dir", str(data_dir), "--port", str(port)]
    process = subprocess.Popen(up, env=os.environ | settings, stdout=subprocess.DEVNULL)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=RUN_TIMEOUT_S) as client:
            _wait_for_a_worker(client, process)
            yield Installation(client, port, process, postgres, valkey)
    finally:
        process.terminate()
        process.wait(READY_TIMEOUT_S)


def seconds(client: httpx2.Client, name: str, workload: Workload) -> float:
    """Run a workload from the start call to the end of its event stream; storing it before that is not counted.

    Raises:
        RuntimeError: not every stage was told to have completed, once each.

    """
    shape = workload.shape()
    path = create(client, name, workload)
    started = time.perf_counter()
    client.post(f"{path}/start").raise_for_status()
    told = told_to_the_end(client, path)
    took = time.perf_counter() - started
    if told["stage.completed"] != len(shape) or told["pipeline.completed"] != 1:
        raise RuntimeError(f"{name} did not complete: {dict(told)}")
    return took


def create(client: httpx2.Client, name: str, workload: Workload) -> str:
    """Store a workload as a pipeline; return its path."""
    stages = [{"name": s, "task": workload.task, "depends_on": waits} for s, waits in workload.shape().items()]
    created = client.post("/api/v1/pipelines", json={"name": name, "stages": stages}).raise_for_status()
    return f"/api/v1/pipelines/{created.json()['uuid']}"


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


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
