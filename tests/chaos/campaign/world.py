"""The world of a campaign: an installation whose processes are replaced when they die, as ``headway up`` would."""

import asyncio
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import asyncpg
import redis

from app.client import Client, Unreachable
from tests.chaos.campaign.load import Load
from tests.chaos.campaign.outside import Answers
from tests.support.installation import HEADWAY, LIVE_WORKERS, Installation
from tests.support.processes import Process, until

CREW = {"api": 2, "scheduler": 2, "worker": 3}
SETTINGS = {
    "worker_concurrency": 3,
    "worker_queues": "default,preprocessing,maintenance",  # the other two are for workers that a fault makes
    "task_modules": "witnesses",
    "stage_log_bytes_max": 1_000_000,
}
KEEP_S = 0.1
HEAL_S = 30.0
RUNNING = """
SELECT w.name FROM stages AS s JOIN workers AS w ON w.id = s.worker_id
 WHERE s.status = 'running' AND ($1::uuid IS NULL OR s.pipeline_id = (SELECT id FROM pipelines WHERE uuid = $1))
 GROUP BY w.name ORDER BY count(*) DESC"""


@dataclass(frozen=True)
class Recovery:
    """How long something took, and how long it might take."""

    what: str
    seconds: float
    within_s: float


@dataclass
class World:
    """Use as ``async with World(directory, rng) as world``; ``load`` is the one of the present round."""

    directory: Path
    rng: random.Random
    answers: Answers = field(default_factory=Answers)
    recoveries: list[Recovery] = field(default_factory=list)
    killed_at: dict[int, datetime] = field(default_factory=dict)
    crew: Counter[str] = field(default_factory=lambda: Counter(CREW))
    patience_s: float = 0.0
    """How much longer everything may take where several faults meet."""
    wrong: list[tuple[str, str]] = field(default_factory=list)
    """Findings of the faults themselves, as counter and text."""

    async def __aenter__(self) -> Self:
        self.log = self.directory / "outside.log"
        self.log.touch()
        self._running = AsyncExitStack()
        self.installation = Installation(self.directory, **SETTINGS)
        await self._running.enter_async_context(self.installation)
        self.url = self.installation.url
        self.client = self.answers.of(await self._running.enter_async_context(Client(self.url)))
        self.special: set[int] = set()
        self._keeper = asyncio.create_task(self._keep())
        await self.ready()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        await self._running.aclose()

    async def _keep(self) -> None:
        while True:
            for role in CREW:
                for _ in range(self.crew[role] - len(self.living(role))):
                    getattr(self.installation, role)()
            await asyncio.sleep(KEEP_S)

    def living(self, role: str) -> list[Process]:
        """The processes of a role that run, but for those that a fault has made."""
        alive = [process for process in self.installation.processes if process.is_running]
        return [process for process in alive if process.role == role and process.pid not in self.special]

    def one(self, role: str) -> Process:
        """Any of them."""
        return self.rng.choice(self.living(role))

    @contextmanager
    def without(self, *roles: str) -> Iterator[None]:
        """Nobody replaces the processes of these roles meanwhile."""
        before, self.crew = self.crew, Counter({role: 0 if role in roles else n for role, n in self.crew.items()})
        try:
            yield
        finally:
            self.crew = before

    @contextmanager
    def environment(self, **variables: str) -> Iterator[None]:
        """Processes that are started meanwhile have these variables, too."""
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def start(self, role: str, **settings: Any) -> Process:
        """Start a process beside the crew; it ends with the round."""
        process = getattr(self.installation, role)(**settings)
        self.special.add(process.pid)
        return process

    def start_in(self, wrapper: list[str], role: str, **settings: Any) -> Process:
        """The same, run by another program, as ``ip netns exec`` is."""
        program = [shutil.which(wrapper[0]) or wrapper[0], *wrapper[1:], *HEADWAY, role]
        process = self.installation.start(role, *program, **settings)
        self.special.add(process.pid)
        return process

    def kill(self, process: Process) -> None:
        """SIGKILL, and remember when."""
        process.kill()
        self.killed_at[process.pid] = datetime.now(UTC)

    async def busy_worker(self, pipeline: UUID | None = None) -> Process:
        """The worker of the crew that runs most stages, of one pipeline or of all."""
        found: list[Process] = []

        async def look() -> bool:
            with suppress(OSError, asyncpg.PostgresError):  # another fault may have struck Postgres
                busy = [int(row["name"].rpartition(":")[2]) for row in await self.installation.query(RUNNING, pipeline)]
                found[:] = sorted(
                    (process for process in self.living("worker") if process.pid in busy),
                    key=lambda process: busy.index(process.pid),
                )
            return bool(found)

        await until(look, "no worker has anything to do")
        return found[0]

    def redis(self) -> redis.Redis:
        """A client of Valkey."""
        return redis.Redis.from_url(self.installation.valkey.url, socket_timeout=2)

    def recovered(self, what: str, seconds: float, within_s: float) -> None:
        """Note how long a recovery took."""
        self.recoveries.append(Recovery(what, seconds, within_s + self.patience_s))

    async def probe(self, load: Load, what: str, within_s: float) -> None:
        """How long does a small new pipeline take that is submitted now?"""
        job = load.send([load.witness("a"), load.command("b", "a")])
        self.recovered(what, await load.ended(job, within_s + 10), within_s)

    async def answers_again(self, what: str, within_s: float) -> None:
        """How long does it take until the API reads from Postgres again?"""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with Client(self.url) as client:
            while loop.time() < began + within_s + 10:
                with suppress(Exception):
                    await client._http.send("GET", "/api/v1/pipelines", dict, limit=1)
                    break
                await asyncio.sleep(0.05)
        self.recovered(what, loop.time() - began, within_s)

    async def heal(self) -> None:
        """End what the fault left behind, wake up who sleeps, and wait until everything is in place."""
        for process in self.installation.processes:
            if process.is_running:
                process.send(signal.SIGCONT)
                if process.pid in self.special:
                    process.kill()
        self.crew = Counter(CREW)
        await self.ready()

    async def ready(self) -> None:
        """Wait until the crew is complete, the API ready and every worker under a lease."""
        await until(self._is_ready, f"not everything is in place after {HEAL_S} s", HEAL_S)

    async def _is_ready(self) -> bool:
        if any(len(self.living(role)) < count for role, count in CREW.items()):
            return False
        with suppress(Unreachable):
            leased = {int(row["name"].rpartition(":")[2]) for row in await self.installation.query(LIVE_WORKERS)}
            workers = {process.pid for process in self.living("worker")}
            return workers <= leased and (await self.client.ready()).get("status") == "ready"
        return False


@asynccontextmanager
async def a_load(world: World, name: str, **options: Any) -> AsyncIterator[Load]:
    """A load for one round."""
    load = Load(name, world.installation, world.log, random.Random(world.rng.random()), world.answers, **options)
    await load.open()
    try:
        yield load
    finally:
        await load.close()
