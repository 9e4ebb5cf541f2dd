"""Event streams as a browser reads them."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx2

PATIENCE_S = 10
Frame = dict[str, str]


class Stream:
    """One connection: frames as dictionaries, comments as ``{"": …}``."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def frame(self) -> Frame | None:
        """The next frame; None at the end of the stream."""
        fields: Frame = {}
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if not line:
                    return fields
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        return None

    async def event(self) -> Frame | None:
        """The next frame that is an event."""
        while (frame := await self.frame()) is not None:
            if "event" in frame:
                return frame
        return None

    async def events(self, count: int) -> list[Any]:
        """So many events."""
        return [await self.event() for _ in range(count)]

    async def to_the_heartbeat(self) -> list[Frame]:
        """All events up to the first silence."""
        found = []
        while "" not in (frame := await self.frame() or {"": "end"}):
            found.append(frame)
        return found

    async def rest(self) -> list[Frame]:
        """All events up to the end of the stream."""
        found = []
        while (event := await self.event()) is not None:
            found.append(event)
        return found


def ids(events: list[Frame]) -> list[int]:
    """The numbers of those that have one."""
    return [int(event["id"]) for event in events if "id" in event]


def known(event: Frame) -> tuple[str, int]:
    """Pipeline and number, by which an event is known in the stream of all pipelines."""
    told = json.loads(event["data"])
    return told["source"].rpartition("/")[2], int(told["id"])


def of(pipeline: Mapping[str, Any], *numbers: int) -> list[tuple[str, int]]:
    """Events of one pipeline as ``known`` tells them."""
    return [(pipeline["uuid"], number) for number in numbers]


def types(events: list[Frame]) -> list[str]:
    """What they are."""
    return [event["event"] for event in events]
