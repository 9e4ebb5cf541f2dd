"""The load: seeded pipelines, submitted under a key until they are accepted; some are cancelled, some paused."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from app.client import Client
from tests.chaos.campaign.listener import Listener
from tests.chaos.campaign.outside import Answers, Follower, insist
from tests.chaos.campaign.timetable import Schedule, Timetable
from tests.support.installation import Installation, noop
from tests.support.processes import until

RATE = 5.0
"""Pipelines a second."""
ACCEPTED_MIN = 20
PATIENCE_S = 60.0
FOLLOWING_CLIENTS = 4
LISTENERS = 2
SCRIPT = """
KEY=${KEY:-$HEADWAY_PIPELINE}
say() { echo "$KEY $HEADWAY_STAGE $HEADWAY_ATTEMPT $$ $1" >> "$OUTSIDE"; }
say begin; %s; say end
echo "{\\"type\\":\\"result\\",\\"values\\":{\\"by\\":$HEADWAY_ATTEMPT}}" >> "$HEADWAY_EVENTS"
"""
ENDS = {None: {"completed"}, "pause": {"completed"}, "cancel": {"cancelled", "completed"}}


@dataclass
class Job:
    """A pipeline of the load: how it was sent, how it should end, and what its stream told."""

    key: str
    spec: dict[str, Any]
    ends: set[str]
    act: str | None = None
    uuid: UUID | None = None
    took_s: float = 0.0
    follower: Follower | None = None

    @property
    def has_ended(self) -> bool:
        """Whether its stream has told its end."""
        return self.follower is not None and self.follower.ended

    @property
    def witnessed(self) -> set[str]:
        """The stages that leave word outside."""
        return {stage["name"] for stage in self.spec["stages"] if stage["task"] != "noop"}


@dataclass
class Load:
    """The pipelines of one round; ``log`` is where their stages leave word."""

    name: str
    installation: Installation
    log: Path
    rng: random.Random
    answers: Answers
    max_retries: int = 0
    jobs: list[Job] = field(default_factory=list)
    churn: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: list[Listener] = field(default_factory=lambda: [Listener() for _ in range(LISTENERS)])

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Submit one after the other until the end of the block, and at least ``ACCEPTED_MIN``."""
        stop = asyncio.Event()
        flow = asyncio.create_task(self._flow(stop))
        try:
            async with self.timetable.going_round():
                yield
        finally:
            stop.set()
            await flow

    async def _flow(self, stop: asyncio.Event) -> None:
        while not stop.is_set() or len(self.jobs) < ACCEPTED_MIN:
            act = self.rng.choices([None, "cancel", "pause"], [8, 1, 1])[0]
            self.send(self.shape(wide=act == "pause"), act)
            await asyncio.sleep(self.rng.expovariate(RATE))

    async def open(self) -> None:
        """Connect."""
        self.client = self._connected()
        self.following = [self._connected() for _ in range(FOLLOWING_CLIENTS)]
        self.spent: list[Client] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        for listener, client in zip(self.listeners, self.following, strict=False):
            self._spawn(listener.listen(client, self.churn, random.Random(self.rng.random())))
            await until(listener.placed.is_set, "the stream of all pipelines tells no cursor")
        pipeline = self._spec(self.name, [noop("a"), self.command("b", "a")])
        self.timetable = Timetable(self.name.replace("+", "-"), self.installation, self.client, pipeline)
        await self.timetable.make()

    def _connected(self) -> Client:
        return self.answers.of(Client(self.installation.url))

    async def close(self) -> None:
        """Let go of everything."""
        await self.timetable.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for client in (self.client, *self.spent, *self.following):
            await client._http.close()

    async def reconnect(self) -> None:
        """Let the next calls meet any of the API processes, as new clients do."""
        self.spent.append(self.client)
        self.client = self._connected()

    def send(self, stages: list[dict[str, Any]], act: str | None = None, ends: set[str] | None = None) -> Job:
        """Submit a pipeline in the background; ``act`` is what somebody does to it then."""
        key = f"{self.name}-{len(self.jobs)}"
        job = Job(key, self._spec(key, deepcopy(stages), KEY=key) | {"start": True}, ends or ENDS[act], act)
        self.jobs.append(job)
        self._spawn(self._live(job, act))
        return job

    def _spec(self, name: str, stages: list[dict[str, Any]], **env: str) -> dict[str, Any]:
        for stage in stages:
            stage.setdefault("retry_delay", 0.3)
            if stage["task"] == "witness":
                stage["params"] |= {"key": name, "log": str(self.log)}
            elif stage["task"] == "run_command":
                stage["params"]["env"] = {**env, "OUTSIDE": str(self.log)}
        return {"name": name, "max_retries": self.max_retries, "stages": stages}

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _live(self, job: Job, act: str | None) -> None:
        loop = asyncio.get_running_loop()
        began, idempotency_key = loop.time(), str(uuid4())
        create = lambda: self.client.pipelines.create(job.spec, idempotency_key=idempotency_key)  # noqa: E731
        if (created := await insist(create, until=began + PATIENCE_S)) is None:
            return
        job.uuid, job.took_s = created.uuid, loop.time() - began
        job.follower = Follower(created.uuid)
        self._spawn(job.follower.follow(self.following, self.churn, random.Random(self.rng.random())))
        if act == "cancel":
            await asyncio.sleep(self.rng.uniform(0, 0.5))
            await self._do(job, self.client.pipelines.cancel)
        elif act == "pause":
            await asyncio.sleep(self.rng.uniform(0, 0.2))
            await self._do(job, self.client.pipelines.pause)
            await asyncio.sleep(self.rng.uniform(0.3, 1))
            await self._do(job, self.client.pipelines.resume)

    async def _do(self, job: Job, verb: Callable[[UUID], Any]) -> None:
        """Ask until it is answered: a verb that was heard already is refused."""
        uuid = job.uuid
        assert uuid is not None
        await insist(lambda: verb(uuid), until=asyncio.get_running_loop().time() + PATIENCE_S)

    async def ended(self, job: Job, within_s: float) -> float:
        """Wait for the end of a pipeline's stream; returns the seconds from now."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        with suppress(AssertionError):
            await until(lambda: job.has_ended, "", within_s)
        return loop.time() - began

    def scheduled(self, timetable: Sequence[Schedule]) -> list[Job]:
        """The pipelines of the slots, as they were promised."""
        spec = self.timetable.pipeline
        made = (pipeline.uuid for schedule in timetable for pipeline in schedule.pipelines)
        return [Job(str(uuid), spec, {"completed"}, uuid=uuid) for uuid in made]

    async def heard(self, jobs: Sequence[Job], within_s: float) -> None:
        """Wait until everybody who listens to all pipelines has heard the end of these."""
        ends = {job.uuid for job in jobs if job.uuid}
        with suppress(AssertionError):
            await until(lambda: all(ends <= listener.ended for listener in self.listeners), "", within_s)

    def shape(self, *, wide: bool = False) -> list[dict[str, Any]]:
        """A chain, a fan or a diamond."""
        if wide:
            return [self.command(f"s{n}", sleep_s=0.2) for n in range(16)]
        size = self.rng.choice([1, 2, 3, 4, 4, 6, 8, 12, 20])
        edges = self.rng.choice([chain, fan, diamonds])(size)
        return [self._stage(name, after) for name, after in edges.items()]

    def _stage(self, name: str, after: list[str]) -> dict[str, Any]:
        kind = self.rng.choices([noop_, self.witness, self.command], [5, 3, 2])[0]
        return kind(name, *after, sleep_s=self.rng.choice([0, 0.05, 0.1, 0.3]))

    @staticmethod
    def witness(name: str, *after: str, sleep_s: float = 0, block_s: float = 0) -> dict[str, Any]:
        """An inline stage that leaves word outside."""
        params = {"sleep_s": sleep_s, "block_s": block_s}
        return {"name": name, "task": "witness", "depends_on": list(after), "params": params}

    @staticmethod
    def command(name: str, *after: str, sleep_s: float = 0, does: str = "", **fields: Any) -> dict[str, Any]:
        """A stage with a process that leaves word outside; ``does`` is what it does between, in the words of sh."""
        argv = ["/bin/sh", "-c", SCRIPT % (does or f"sleep {sleep_s}")]
        return {"name": name, "task": "run_command", "depends_on": list(after), "params": {"argv": argv}, **fields}


def noop_(name: str, *after: str, sleep_s: float) -> dict[str, Any]:
    """A stage of Headway's own."""
    return noop(name, *after, sleep_s=sleep_s)


def chain(size: int) -> dict[str, list[str]]:
    """One after the other."""
    return {f"s{n}": [f"s{n - 1}"] if n else [] for n in range(size)}


def fan(size: int) -> dict[str, list[str]]:
    """A root, many that wait for it, and one that waits for all of them."""
    middle = {f"m{n}": ["root"] for n in range(size - 2)}
    return {"root": [], **middle, **({"join": list(middle) or ["root"]} if size > 1 else {})}


def diamonds(size: int) -> dict[str, list[str]]:
    """Two that wait for one, one that waits for those two, and so on."""
    shape: dict[str, list[str]] = {"d0": []}
    for n in range(1, size):
        shape[f"d{n}"] = [f"d{n - 2}", f"d{n - 1}"] if n % 3 == 0 else [f"d{n - n % 3}"]
    return shape
