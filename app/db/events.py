"""Events: reading what the transitions have appended."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec
from msgspec import Struct

from app.db.pool import Connection
from app.db.queries import load
from schemas.event import Event, PlacedEvent, Traits

SQL = load("events")


class Now(Struct):
    """Where the events of all pipelines have come to: below ``settled`` none is added, at ``beyond`` there is none yet.

    ``ahead`` names the pipelines that have events between the two, with number and place of their last one.
    """

    settled: int
    beyond: int
    ahead: dict[int, tuple[int, int]]


async def read(c: Connection, pipeline: UUID, after: int, limit: int) -> tuple[list[Event], bool] | None:
    """Events with ``seq > after`` in order, and whether they reach the end of a terminal pipeline; None if unknown."""
    row = await c.fetchrow(SQL["read"], pipeline, after, limit)
    if row is None:
        return None
    events = msgspec.json.decode(row["events"], type=list[Event]) if row["events"] else []
    last = int(events[-1].id or 0) if events else after
    return events, bool(row["ended"]) and last >= row["last_seq"]


async def news(
    c: Connection, floor: tuple[int, int, int], ahead: Mapping[int, int], limit: int
) -> tuple[list[PlacedEvent], int]:
    """Events of all pipelines behind ``floor``, in order; of pipelines ``ahead`` only those behind a number.

    The second value is the settled place: below it nothing will be added.
    """
    row = await c.fetchrow(SQL["news"], *floor, msgspec.json.encode(ahead).decode(), limit)
    assert row is not None
    return msgspec.json.decode(row["events"] or "[]", type=list[PlacedEvent]), row["settled"]


async def now(c: Connection) -> Now:
    """Where a reader begins that wants nothing of the past."""
    row = await c.fetchrow(SQL["now"])
    assert row is not None
    ahead = msgspec.json.decode(row["ahead"] or "{}", type=dict[int, tuple[int, int]])
    return Now(row["settled"], row["beyond"], ahead)


async def traits(c: Connection, pipelines: Sequence[UUID]) -> dict[UUID, Traits]:
    """What streams are filtered by, of those of these pipelines that exist."""
    found = await c.fetchval(SQL["traits"], pipelines)
    return msgspec.json.decode(found or "{}", type=dict[UUID, Traits])
