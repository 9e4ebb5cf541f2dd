"""A whole Headway of real processes: its own Postgres, Valkey and data directory, and any number of each role."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from itertools import count
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

import asyncpg
import pytest
import redis

from app import launch
from app.client import ApiError, Client, Unreachable
from app.db.migrate import migrate
from app.embedded import start_postgres, start_valkey
from app.embedded.server import tail
from schemas.event import Event
from schemas.pipeline import Pipeline
from schemas.stage import Stage
from tests.support import processes
from tests.support.processes import LOOK_AGAIN_S, WITHIN_S, Process

ROOT = Path(__file__).parents[2]
HEADWAY = (sys.executable, "-m", "app.cli")
TIMINGS = {
    "lease_timeout_s": 3,
    "heartbeat_interval_s": 1,
    "sweep_interval_s": 0.5,
    "cancel_grace_s": 1,
    "drain_timeout_s": 5,
}
"""A tenth of the defaults, so that what takes half a minute in production takes seconds here."""
LOG_LINES_SHOWN = 40
PLUG_INS = (ROOT / "examples", ROOT / "tests" / "support" / "plug_ins")
"""Where ``task_modules`` are found."""
LIVE_WORKERS = "SELECT name FROM workers WHERE state = 'live' AND lease_expires_at > clock_timestamp()"


class Installation:
    """Use as ``async with Installation(directory) as installation``, then start the roles that the test is about.

    ``settings`` are Headway's own, for all of its processes: ``worker_concurrency=1`` becomes
    ``HEADWAY_WORKER_CONCURRENCY=1``.
    """

    def __init__(self, directory: Path, **settings: object) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.settings = TIMINGS | settings
        self.processes: list[Process] = []
        self._numbers = count(1)

    async def __aenter__(self) -> Self:
        self.postgres = start_postgres(self.directory)
        await migrate(self.postgres.url)
        self.valkey = start_valkey(self.directory)
        # The socket is ours and outlives an API process: who connects in between waits, as behind a load balancer.
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = "http://{}:{}".format(*self._listening.getsockname())
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
        self._listening.close()
        self.valkey.stop()
        self.postgres.stop()

    def crash_postgres(self) -> None:
        """End Postgres the way a crash does: nobody is told, and the next start has to recover."""
        self.postgres.process.send_signal(signal.SIGQUIT)
        self.postgres.process.wait()
        self.postgres.stop()

    def start_postgres(self) -> None:
        """Start Postgres again, with its data."""
        self.postgres = start_postgres(self.directory)

    def lose_valkey(self) -> None:
        """Kill Valkey and all that it has written."""
        self.valkey.process.kill()
        self.valkey.process.wait()
        self.valkey.stop()
        shutil.rmtree(self.directory / "valkey" / "appendonlydir")

    def start_valkey(self) -> None:
        """Start Valkey again."""
        self.valkey = start_valkey(self.directory)

    def api(self, **settings: object) -> Process:
        """Start an API process behind ``url``."""
        return self.start("api", *HEADWAY, "api", "--fd", str(self._listening.fileno()), **settings)

    def scheduler(self, **settings: object) -> Process:
        """Start a scheduler."""
        return self.start("scheduler", *HEADWAY, "scheduler", **settings)

    def worker(self, **settings: object) -> Process:
        """Start a worker."""
        return self.start("worker", *HEADWAY, "worker", **settings)

    def start(self, role: str, *program: str, **settings: object) -> Process:
        """Start a process with the settings of this installation, and of its own."""
        name = f"{role}-{next(self._numbers)}"
        servers = {"database_url": self.postgres.url, "redis_url": self.valkey.url, "data_dir": self.data_dir}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADWAY_")}
        environment["PYTHONPATH"] = os.pathsep.join([*map(str, PLUG_INS), environment.get("PYTHONPATH", "")])
        for setting, value in {**servers, "log_format": "json", **self.settings, **settings}.items():
            environment[f"HEADWAY_{setting.upper()}"] = str(value)
        process = processes.start(
            role,
            name,
            launch.command([*program], signal=signal.SIGKILL),
            self.directory / f"{name}.log",
            cwd=ROOT,
            env=environment,
            pass_fds=[self._listening.fileno()],
        )
        self.processes.append(process)
        return process

    async def ready(self) -> None:
        """Wait until the API is ready and every worker holds a lease."""
        started = [process for process in self.processes if process.is_running]
        async with asyncio.timeout(WITHIN_S), Client(self.url) as client:
            while not (await self._api_is_ready(client) and await self._have_leases(started)):
                for process in started:
                    assert process.is_running, f"{process.name} has ended:\n{tail(process.log)}"
                await asyncio.sleep(LOOK_AGAIN_S)

    @staticmethod
    async def _api_is_ready(client: Client) -> bool:
        with suppress(Unreachable):
            return (await client.ready()).get("status") == "ready"
        return False

    async def _have_leases(self, started: list[Process]) -> bool:
        workers = {process.pid for process in started if process.role == "worker"}
        return workers <= {_pid(row["name"]) for row in await self.query(LIVE_WORKERS)}

    async def query(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Ask Postgres what the API does not tell."""
        connection = await asyncpg.connect(self.postgres.url)
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    def jobs_waiting(self) -> int:
        """How many jobs lie on the queues in Redis."""
        with redis.Redis.from_url(self.valkey.url) as client:
            return sum(client.zcard(key) for key in client.scan_iter("headway:queue:*"))

    async def value(self, statement: str, *arguments: object) -> Any:
        """Ask Postgres for a single value."""
        return (await self.query(statement, *arguments))[0][0]

    def runner_of(self, stage: Stage) -> Process:
        """The worker process that runs a stage, or ran it last."""
        assert stage.worker is not None
        return next(process for process in self.processes if process.pid == _pid(stage.worker or ""))

    def artifacts(self, pipeline: Pipeline, stage: str, attempt: int = 1) -> Path:
        """Where an attempt kept its things."""
        return self.data_dir / "artifacts" / str(pipeline.uuid) / stage / str(attempt)

    def logs(self) -> Iterator[tuple[str, str]]:
        """The end of what each process said, for the report of a failed test."""
        for process in self.processes:
            yield f"end of the log of {process.name}", tail(process.log, LOG_LINES_SHOWN)


class Headway(Client):
    """A client for tests: it submits, watches until something has happened, and gives up after ``WITHIN_S``."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.submitted: list[UUID] = []

    async def submit(self, *stages: dict[str, Any], **fields: Any) -> UUID:
        """Create a pipeline and start it."""
        spec = {"name": "test", "start": True, "stages": list(stages), **fields}
        self.submitted.append((await self.pipelines.create(spec, idempotency_key=str(uuid4()))).uuid)
        return self.submitted[-1]

    async def run(self, *stages: dict[str, Any], **fields: Any) -> Pipeline:
        """Create a pipeline, start it, and see it to its end."""
        return await self.ended(await self.submit(*stages, **fields))

    async def ended(self, pipeline: UUID, within_s: float = WITHIN_S) -> Pipeline:
        """Wait for the end of a pipeline."""
        await self.history(pipeline, within_s)
        return await self.get(pipeline)

    async def history(self, pipeline: UUID, within_s: float = WITHIN_S) -> list[Event]:
        """All events of a pipeline, from the first to the last."""
        async with asyncio.timeout(within_s):
            return [event async for event in self.watch(pipeline)]

    async def event(self, pipeline: UUID, kind: str, stage: str | None = None, **data: Any) -> Event:
        """Wait for an event, with these entries among its data."""
        async with asyncio.timeout(WITHIN_S), aclosing(self.watch(pipeline)) as events:
            async for event in events:
                if (event.type, event.subject) == (kind, stage) and data.items() <= event.data.items():
                    return event
        raise AssertionError(f"the pipeline has ended without {kind} of {stage}")

    async def stage(self, pipeline: UUID, name: str) -> Stage:
        """Look at one stage."""
        return stage_of(await self.get(pipeline), name)

    async def ask(self, method: str, path: str, **options: Any) -> bytes:
        """Ask the API for something that the client has no call for."""
        return await self._http._ask(method, path, **options)

    async def get(self, pipeline: UUID) -> Pipeline:
        """Look at a pipeline."""
        return await self.pipelines.get(pipeline)

    def watch(self, pipeline: UUID, after: int = 0) -> AsyncGenerator[Event]:
        """Follow the events of a pipeline."""
        return self.pipelines.watch(pipeline, after)

    async def start(self, pipeline: UUID) -> None:
        """Start a pipeline that was only created."""
        await self.pipelines.start(pipeline)

    async def cancel(self, pipeline: UUID) -> Pipeline:
        """Cancel a pipeline."""
        return await self.pipelines.cancel(pipeline)

    async def delete(self, pipeline: UUID) -> None:
        """Delete a pipeline."""
        await self.pipelines.delete(pipeline)

    async def cancel_what_runs(self) -> None:
        """Cancel the pipelines that have not ended."""
        for pipeline in self.submitted:
            with suppress(ApiError):
                await self.cancel(pipeline)


def noop(name: str, *depends_on: str, sleep_s: float = 0, **fields: Any) -> dict[str, Any]:
    """A stage that does nothing, after the stages that it depends on."""
    return {"name": name, "task": "noop", "depends_on": depends_on, "params": {"sleep_s": sleep_s}, **fields}


def stage_of(pipeline: Pipeline, name: str) -> Stage:
    """One stage of a pipeline."""
    return next(stage for stage in pipeline.stages if stage.name == name)


def durable(events: list[Event]) -> list[Event]:
    """The events that are kept for ever; the others may be missing from a stream."""
    return [event for event in events if event.id is not None]


def is_gapless(events: list[Event]) -> bool:
    """Whether the durable events are numbered 1, 2, 3, … in this order."""
    return [event.id for event in durable(events)] == [str(number) for number in range(1, len(durable(events)) + 1)]


def show_logs(item: pytest.Item, report: pytest.TestReport) -> None:
    """Put the logs of the test's installation into the report of its failure."""
    for value in getattr(item, "funcargs", {}).values():
        if report.failed and isinstance(value, Installation):
            report.sections += value.logs()


def _pid(worker: str) -> int:
    return int(worker.rpartition(":")[2])
