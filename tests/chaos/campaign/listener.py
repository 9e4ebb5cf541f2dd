"""A client of the stream of all pipelines: it resumes where it was cut, and keeps what each connection told."""

import asyncio
import json
import random
from collections import defaultdict
from contextlib import suppress
from uuid import UUID

import httpx2

from app.client import ApiError, Client
from schemas.states import PIPELINE_TERMINAL
from tests.chaos.campaign.outside import CHURN_S

PATH = "/api/v1/events"
SILENCE_MAX_S = 20.0
ENDS = {f"pipeline.{status}" for status in PIPELINE_TERMINAL}


class Listener:
    """What it heard: for each pipeline, the numbers that each of its connections told, in their order."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.placed = asyncio.Event()
        self.heard: dict[UUID, list[list[int]]] = defaultdict(list)
        self.ended: set[UUID] = set()

    async def listen(self, client: Client, churn: asyncio.Event, rng: random.Random) -> None:
        """Do so for ever, as one who hangs up every now and then, and while ``churn`` is set all the time."""
        while True:
            limit_s = rng.uniform(*CHURN_S) if churn.is_set() else rng.uniform(1, 4) * CHURN_S[1]
            with suppress(httpx2.TransportError, httpx2.SSEError, ApiError, TimeoutError):
                async with asyncio.timeout(limit_s):
                    await self._connect(client)
            await asyncio.sleep(rng.uniform(0, 0.1))

    async def _connect(self, client: Client) -> None:
        now: dict[UUID, list[int]] = {}
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.cursor} if self.cursor else {})
        async with client._http.stream(PATH, headers, (), SILENCE_MAX_S) as response:
            async for message in httpx2.EventSource(response):
                self.cursor = message.id or self.cursor
                self.placed.set()
                if message.data:
                    self._note(json.loads(message.data), now)

    def _note(self, event: dict[str, str | None], now: dict[UUID, list[int]]) -> None:
        if event["id"] is None:  # a live report, which may be lost
            return
        pipeline = UUID(str(event["source"]).rpartition("/")[2])
        if pipeline not in now:
            now[pipeline] = []
            self.heard[pipeline].append(now[pipeline])
        now[pipeline].append(int(event["id"]))
        if event["type"] in ENDS:
            self.ended.add(pipeline)
