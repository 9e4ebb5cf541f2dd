"""A running installation with more processes of each role, and which processes are whose."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from app.commands.running import read
from app.db.pool import open_session
from bench import headway
from bench.headway import READY_TIMEOUT_S, Installation
from bench.processes import Spent, below, between, spent

ALIVE = """
SELECT (SELECT count(*) FROM workers WHERE state = 'live'), (SELECT count(*) FROM schedulers)"""
POLL_S = 0.1


@dataclass(frozen=True)
class Fleet:
    """The ports of the API processes, and the processes at the root of each group."""

    ports: list[int]
    groups: dict[str, set[int]]

    def spent(self) -> dict[str, dict[int, Spent]]:
        """What each group has spent so far."""
        return {name: spent(pids if name == "client" else below(pids)) for name, pids in self.groups.items()}


def cores(before: dict[str, dict[int, Spent]], after: dict[str, dict[int, Spent]], took_s: float) -> dict[str, float]:
    """How many processors each group kept busy, and for how many more all together were ready and waited."""
    used = {name: between(before[name], now) for name, now in after.items()}
    told = {f"{name} cores": each.ran_s / took_s for name, each in used.items()}
    return told | {"cores waited for": sum(each.waited_s for each in used.values()) / took_s}


@contextmanager
def grown(installation: Installation, *, workers: int = 1, schedulers: int = 1, apis: int = 1) -> Iterator[Fleet]:
    """So many processes of each role on the same servers, all ready; those that came to it end afterwards.

    Raises:
        RuntimeError: they did not come up in ``READY_TIMEOUT_S``.

    """
    ports = [installation.port, *(headway.free_port() for _ in range(apis - 1))]
    wanted = [
        *(("worker",) for _ in range(workers - 1)),
        *(("scheduler",) for _ in range(schedulers - 1)),
        *(("api", "--port", str(port)) for port in ports[1:]),
    ]
    with ExitStack() as running:
        groups = _groups(installation)
        for command in wanted:
            process = running.enter_context(_started(installation, command))
            groups[command[0]].add(process.pid)
        _wait(lambda: asyncio.run(_alive(installation)) == (workers, schedulers) and all(map(_is_ready, ports)))
        yield Fleet(ports, groups)


def _groups(installation: Installation) -> dict[str, set[int]]:
    running = read(Path(installation.settings["HEADWAY_DATA_DIR"]))
    assert running is not None
    roles = {name: {running.pids[name]} for name in ("worker", "scheduler", "api")}
    servers = {"postgres": {installation.postgres.pid}, "valkey": {installation.valkey.pid}}
    return roles | servers | {"client": {os.getpid()}}


@contextmanager
def _started(installation: Installation, command: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    process = headway.start(installation.settings, *command)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(READY_TIMEOUT_S)


async def _alive(installation: Installation) -> tuple[int, int]:
    session = await open_session(installation.postgres.url)
    try:
        workers, schedulers = await session.fetchrow(ALIVE) or (0, 0)
        return workers, schedulers
    finally:
        await session.close()


def _is_ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz").is_success
    except httpx2.TransportError:
        return False  # It is still starting.


def _wait(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not is_there():
        if time.monotonic() > deadline:
            raise RuntimeError("Not every process came up; what they said stands above.")
        time.sleep(POLL_S)
