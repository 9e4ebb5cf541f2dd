"""Headway as its users run it: ``headway up`` on real servers, measured through its HTTP API and its event stream."""

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from app.embedded import EmbeddedServer
from bench.workloads import Shape

READY_TIMEOUT_S = 60
RUN_TIMEOUT_S = 300


@contextmanager
def running(data_dir: Path, postgres: EmbeddedServer, valkey: EmbeddedServer) -> Iterator[httpx2.Client]:
    """A client of an API with a scheduler and a worker behind it, all with default settings but for the size of a fan.

    Raises:
        RuntimeError: it did not come up in ``READY_TIMEOUT_S``.

    """
    port = _free_port()
    settings = {
        "HEADWAY_DATABASE_URL": postgres.url,
        "HEADWAY_REDIS_URL": valkey.url,
        "HEADWAY_STAGES_MAX": "2000",
        "HEADWAY_LOG_LEVEL": "warning",
    }
    up = [sys.executable, "-m", "app.cli", "up", "--data-dir", str(data_dir), "--port", str(port)]
    process = subprocess.Popen(up, env=os.environ | settings, stdout=subprocess.DEVNULL)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=RUN_TIMEOUT_S) as client:
            _wait_for_a_worker(client, process)
            yield client
    finally:
        process.terminate()
        process.wait(READY_TIMEOUT_S)


def seconds(client: httpx2.Client, name: str, shape: Shape) -> float:
    """Run a shape from the start call to the end of its event stream; storing it before that is not counted.

    Raises:
        RuntimeError: not every stage was told to have completed, once each.

    """
    stages = [{"name": stage, "task": "noop", "depends_on": waits} for stage, waits in shape.items()]
    created = client.post("/api/v1/pipelines", json={"name": name, "stages": stages}).raise_for_status()
    path = f"/api/v1/pipelines/{created.json()['uuid']}"
    started = time.perf_counter()
    client.post(f"{path}/start").raise_for_status()
    told = _events_to_the_end(client, path)
    took = time.perf_counter() - started
    if told["stage.completed"] != len(shape) or told["pipeline.completed"] != 1:
        raise RuntimeError(f"{name} did not complete: {dict(told)}")
    return took


def _events_to_the_end(client: httpx2.Client, path: str) -> Counter[str]:
    with client.stream("GET", f"{path}/events") as stream:
        stream.raise_for_status()
        return Counter(line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: "))


def _wait_for_a_worker(client: httpx2.Client, up: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and up.poll() is None:
        try:
            if "noop" in client.get("/api/v1/task-types").text:
                return
        except httpx2.TransportError:
            pass  # It is still starting.
        time.sleep(0.1)
    raise RuntimeError("Headway did not come up; what it said stands above.")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
