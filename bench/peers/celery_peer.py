"""The same shapes as Celery canvases; a program of its own, for Celery's own environment.

Usage: ``celery_peer.py`` with the path of Valkey's unix socket in ``VALKEY_SOCKET``. It prints its versions and
settings as one line of JSON; then, for each name of a workload on stdin, the seconds from ``apply_async`` to the last
result. Nothing of Headway is imported.

By default the settings follow Celery's guide to optimising for many short tasks: a large prefetch, early
acknowledgement (a task whose worker dies is lost), no rate limits, no events, no gossip, one prefork process a core.
With ``CELERY_IS_SAFE=1`` they are those of a team that does not want to lose tasks and watches them with Flower: late
acknowledgement, a prefetch of one, the state "started", and events.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from celery import Celery, chain, group

SAFE = {
    "worker_prefetch_multiplier": 1,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_track_started": True,
    "worker_send_task_events": True,
    "task_send_sent_event": True,
}
FAST = {"worker_prefetch_multiplier": 128, "task_acks_late": False, "worker_send_task_events": False}
IS_SAFE = os.environ.get("CELERY_IS_SAFE") == "1"
"""In the environment and not an argument, because the worker reads it too."""
SETTINGS = {
    **(SAFE if IS_SAFE else FAST),
    "worker_disable_rate_limits": True,
    "broker_connection_retry_on_startup": True,
}
PROCESSES = os.cpu_count() or 1
OPTIONS = [
    "--pool=prefork",
    f"--concurrency={PROCESSES}",
    "--without-gossip",
    "--without-mingle",
    "--without-heartbeat",
]
TIMEOUT_S = 300

_socket = os.environ["VALKEY_SOCKET"]
app = Celery(
    "celery_peer",
    broker=f"redis+socket://{_socket}?virtual_host={3 if IS_SAFE else 1}",
    backend=f"redis+socket://{_socket}?virtual_host={4 if IS_SAFE else 2}",
)
app.conf.update(SETTINGS)


@app.task(name="noop")
def noop() -> None:
    """Do nothing."""


@app.task(name="fibonacci")
def fibonacci(n: int) -> int:
    """The light task of the public benchmark."""
    return n if n <= 1 else int(fibonacci.run(n - 1)) + int(fibonacci.run(n - 2))


def _diamonds(count: int) -> Any:
    return group(chain(noop.si(), group(noop.si(), noop.si()), noop.si()) for _ in range(count))


CANVASES: dict[str, Callable[[], Any]] = {
    "chain-100": lambda: chain(noop.si() for _ in range(100)),
    "fan-1000": lambda: chain(noop.si(), group(noop.si() for _ in range(1_000)), noop.si()),
    "diamonds-250": lambda: _diamonds(250),
    "diamonds-2500": lambda: _diamonds(2_500),
    "light-40": lambda: chain(fibonacci.si(10) for _ in range(40)),
}


@contextmanager
def worker() -> Iterator[None]:
    """A worker that has answered its first task."""
    command = [sys.executable, "-m", "celery", "--app=celery_peer", "--quiet", "worker", "--loglevel=ERROR", *OPTIONS]
    quiet = os.environ | {"PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(command, cwd=Path(__file__).parent, env=quiet, stdout=subprocess.DEVNULL)
    try:
        noop.si().apply_async().get(timeout=TIMEOUT_S)
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


def seconds(canvas: Any) -> float:
    """Run a canvas to its last result."""
    started = time.perf_counter()
    canvas.apply_async().get(timeout=TIMEOUT_S)
    return time.perf_counter() - started


def main() -> None:
    """Answer until stdin ends."""
    with worker():
        versions = {package: version(package) for package in ("celery", "kombu", "redis")}
        print(json.dumps({"versions": versions, "settings": SETTINGS, "options": OPTIONS}), flush=True)
        for line in sys.stdin:
            print(seconds(CANVASES[line.strip()]()), flush=True)


if __name__ == "__main__":
    main()
