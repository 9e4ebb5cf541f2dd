"""Statistics: counting what ends, and reading what was counted."""

from datetime import datetime

import msgspec

from app.db.pool import Connection
from app.db.queries import load
from schemas.queue import Queue
from schemas.states import StageStatus
from schemas.stats import Counted, TaskHour

SQL = load("stats")


async def count_ends(c: Connection, batch: int) -> Counted:
    """Count what has ended since the last time, looking at about ``batch`` events."""
    return msgspec.json.decode(await c.fetchval(SQL["count_ends"], batch), type=Counted)


async def counts(c: Connection, project: str) -> list[tuple[StageStatus, Queue, str, int]]:
    """How many stages have a status, by queue and task; of terminal ones how often they have ended so."""
    rows = await c.fetch(SQL["counts"], project)
    return [(StageStatus(row["status"]), Queue(row["queue"]), row["task"], row["count"]) for row in rows]


async def last_hour(c: Connection, project: str) -> list[TaskHour]:
    """What ended in the last hour, by task."""
    return msgspec.json.decode(await c.fetchval(SQL["last_hour"], project), type=list[TaskHour])


async def counted_at(c: Connection) -> datetime:
    """When somebody has counted for the last time."""
    moment: datetime = await c.fetchval(SQL["counted_at"])
    return moment
