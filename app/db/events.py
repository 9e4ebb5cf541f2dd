"""Events: reading what the transitions have appended."""

from uuid import UUID

import msgspec

from app.db.pool import Connection
from app.db.queries import load
from schemas.event import Event

SQL = load("events")


async def read(c: Connection, pipeline: UUID, after: int, limit: int) -> tuple[list[Event], bool] | None:
    """Events with ``seq > after`` in order, and whether they reach the end of a terminal pipeline; None if unknown."""
    row = await c.fetchrow(SQL["read"], pipeline, after, limit)
    if row is None:
        return None
    events = msgspec.json.decode(row["events"], type=list[Event]) if row["events"] else []
    last = int(events[-1].id or 0) if events else after
    return events, bool(row["ended"]) and last >= row["last_seq"]
