"""Schedules of the load.

Their clock is turned back hour by hour, so that slots come due all the while, and all those behind them come again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from app.client import ApiError, Client, Unreachable
from tests.support.installation import Installation
from tests.support.processes import LOOK_AGAIN_S

STEP = 3
"""So many slots come due at each turn; those that were decided come again."""
SLOTS_MAX = 90
EVERY_S = 2.0
PATIENCE_S = 5.0
OVERLAPS = ("allow", "buffer_one")
CRON = "0 * * * *"
HOUR = timedelta(hours=1)
THIS_HOUR = "SELECT date_trunc('hour', clock_timestamp())"
TURN = "UPDATE schedules SET next_run_at = $2 WHERE name = ANY ($1)"
UNDECIDED = """
SELECT (SELECT count(*) FROM schedules WHERE name = ANY ($1) AND next_run_at <= clock_timestamp())
     + (SELECT count(*) FROM schedule_slots AS w JOIN schedules AS s ON s.id = w.schedule_id
         WHERE s.name = ANY ($1) AND w.state = 'waiting')"""
SCHEDULES = """
SELECT s.name, s.overlap,
       greatest(s.next_run_at, date_trunc('hour', clock_timestamp() - interval '5 s') + interval '1 h') AS next,
       ARRAY(SELECT ROW (w.slot, w.state, w.pipeline) FROM schedule_slots AS w
              WHERE w.schedule_id = s.id ORDER BY w.slot) AS slots,
       ARRAY(SELECT ROW (p.uuid, (p.labels ->> 'headway.slot')::timestamptz, p.created_at, p.finished_at)
               FROM pipelines AS p WHERE p.labels ->> 'headway.schedule' = s.name ORDER BY p.created_at) AS pipelines
  FROM schedules AS s WHERE s.name = ANY ($1)"""


class Slot(NamedTuple):
    """What became of a slot."""

    slot: datetime
    state: str
    pipeline: UUID | None


class Made(NamedTuple):
    """A pipeline that names the schedule as its origin."""

    uuid: UUID
    slot: datetime
    created_at: datetime
    finished_at: datetime | None


@dataclass
class Schedule:
    """A schedule as it is in Postgres, and ``due``: the slots that have come."""

    name: str
    overlap: str
    due: list[datetime]
    slots: list[Slot] = field(default_factory=list)
    pipelines: list[Made] = field(default_factory=list)


@dataclass
class Timetable:
    """Two schedules of this pipeline: one whose pipelines run beside each other, one that buffers a slot."""

    name: str
    installation: Installation
    client: Client
    pipeline: dict[str, Any]
    turned_back: int = 0

    @property
    def names(self) -> list[str]:
        """Of the schedules."""
        return [f"{self.name}-{overlap.replace('_', '-')}" for overlap in OVERLAPS]

    async def make(self) -> None:
        """Store them."""
        self.hour: datetime = await self.installation.value(THIS_HOUR)
        for name, overlap in zip(self.names, OVERLAPS, strict=True):
            rules = {"overlap": overlap, "catch_up": "all", "catch_up_max": 100}
            await self.client.schedules.create({"name": name, "cron": CRON, "pipeline": self.pipeline, **rules})

    @asynccontextmanager
    async def going_round(self) -> AsyncIterator[None]:
        """Let slots come due until the end of the block."""
        turning = asyncio.create_task(self._go_round())
        try:
            yield
        finally:
            turning.cancel()
            await asyncio.gather(turning, return_exceptions=True)

    async def _go_round(self) -> None:
        while self.turned_back < SLOTS_MAX:
            self.turned_back += STEP
            await self.come_round()
            await asyncio.sleep(EVERY_S)

    async def _is_turned(self) -> bool:
        """Whether Postgres could be told; it may be away."""
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with asyncio.timeout(PATIENCE_S):
                await self.installation.query(TURN, self.names, self.hour - self.turned_back * HOUR)
            return True
        return False

    async def come_round(self) -> None:
        """Let every slot so far come again: none is to be decided twice."""
        while not await self._is_turned():  # noqa: ASYNC110 - Postgres does not tell when it is back
            await asyncio.sleep(LOOK_AGAIN_S)

    async def undecided(self) -> int:
        """How many slots still have to be decided, or wait."""
        return int(await self.installation.value(UNDECIDED, self.names))

    async def read(self, c: asyncpg.Connection) -> list[Schedule]:
        """Look at them."""
        found = []
        for row in await c.fetch(SCHEDULES, self.names):
            hours = range(-self.turned_back, round((row["next"] - self.hour) / HOUR))
            due = [self.hour + number * HOUR for number in hours]
            slots, pipelines = [Slot(*each) for each in row["slots"]], [Made(*each) for each in row["pipelines"]]
            found.append(Schedule(row["name"], row["overlap"], due, slots, pipelines))
        return found

    async def close(self) -> None:
        """Delete them; their pipelines stay."""
        for name in self.names:
            with suppress(ApiError, Unreachable):
                await self.client.schedules.delete(name)
