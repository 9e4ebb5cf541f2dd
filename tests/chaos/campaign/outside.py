"""What is seen of Headway from outside: what its stages did, what its API answered, what its streams told."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import httpx2

from app.client import ApiError, Client, Unreachable

CHURN_S = (0.3, 1.5)


class Said(NamedTuple):
    """A line that a stage has written itself: of which pipeline, and what."""

    key: str
    stage: str
    attempt: int
    pid: int
    word: str


def read(log: Path) -> list[Said]:
    """All that the stages have said so far."""
    lines = [line.split() for line in log.read_text().splitlines()]
    return [Said(key, stage, int(attempt), int(pid), word) for key, stage, attempt, pid, word in lines]


@dataclass
class Answers:
    """The status of every HTTP answer, and those that nobody should ever get."""

    counted: Counter[int] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    async def note(self, response: httpx2.Response) -> None:
        """Be told of an answer; a hook of the HTTP client."""
        status = response.status_code
        self.counted[status] += 1
        is_honest = status == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" in response.headers
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not is_honest:
            self.bad.append(f"{response.request.method} {response.request.url.path} was answered {status}")

    def of(self, client: Client) -> Client:
        """Listen to a client."""
        client._http._http.event_hooks = {"response": [self.note]}
        return client


class Follower:
    """Follows the stream of one pipeline to its end, resumes it where it was cut, and keeps the numbers that it saw."""

    def __init__(self, pipeline: UUID) -> None:
        self.pipeline = pipeline
        self.seen: list[int] = []
        self.ended = False

    async def follow(self, clients: Iterable[Client], churn: asyncio.Event, rng: random.Random) -> None:
        """Do so; while ``churn`` is set, hang up every now and then."""
        choices = list(clients)
        while not self.ended:
            with suppress(Unreachable, TimeoutError):
                limit_s = rng.uniform(*CHURN_S) if churn.is_set() else 5 * CHURN_S[1]
                async with asyncio.timeout(limit_s):
                    await self._read(rng.choice(choices))
            await asyncio.sleep(rng.uniform(0, 0.1))

    async def _read(self, client: Client) -> None:
        after = max(self.seen, default=0)
        async with aclosing(client.pipelines.watch(self.pipeline, after)) as events:
            async for event in events:
                if event.id is not None:
                    self.seen.append(int(event.id))
        self.ended = True


async def insist(call: Any, *, until: float) -> Any:
    """Repeat a call that may be repeated until it is answered; None if it was refused or no time is left."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return await call()
        except Unreachable:
            pass
        except ApiError as error:
            if error.status not in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INTERNAL_SERVER_ERROR}:
                return None
        if loop.time() > until:
            return None
        await asyncio.sleep(0.1)
