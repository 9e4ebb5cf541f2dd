"""Events: what the streams deliver."""

from collections.abc import Sequence
from uuid import UUID

from app.core.bookmark import BEGIN, Bookmark, read_cursor
from app.db import events as db
from app.db.pool import Pool, connection
from app.errors import InvalidRequest, NotFound
from schemas.event import Event, PlacedEvent, Traits
from schemas.problem import Fault

FROM_THE_OLDEST = frozenset({"0", "begin"})


async def read(pool: Pool, pipeline: UUID, after: int, limit: int = 500) -> tuple[list[Event], bool]:
    """Events of a pipeline behind sequence number ``after``, in order; True when nothing will ever follow them.

    Raises:
        NotFound: no such pipeline.

    """
    async with connection(pool) as c:
        found = await db.read(c, pipeline, after, limit)
    if found is None:
        raise NotFound(f"There is no pipeline {pipeline}.")
    return found


async def begin(pool: Pool, cursor: str | None) -> Bookmark:
    """Where a stream of all pipelines begins: behind the cursor, at the oldest event (``begin``), or now (None).

    Raises:
        InvalidRequest: the cursor is none of ours, or older than a rewind of the database.

    """
    async with connection(pool) as c:
        now = await db.now(c)
    if cursor is None:
        return Bookmark((now.settled, 0, 0), now.ahead)
    floor = BEGIN if cursor in FROM_THE_OLDEST else read_cursor(cursor)
    if floor is None or floor > (now.beyond, 0, 0):
        detail = (
            "The cursor is not one that this stream gave out; start again with after=begin, or without it for news."
        )
        raise InvalidRequest(detail, faults=(Fault("cursor_invalid", detail),))
    return Bookmark(floor)


async def news(pool: Pool, bookmark: Bookmark, limit: int) -> tuple[list[PlacedEvent], int]:
    """At most ``limit`` events that a reader of all pipelines lacks, in order, and the settled place.

    The reader advances its bookmark by both.
    """
    ahead = {pipeline: seq for pipeline, (seq, _) in bookmark.ahead.items()}
    async with connection(pool) as c:
        return await db.news(c, bookmark.floor, ahead, limit)


async def traits(pool: Pool, pipelines: Sequence[UUID]) -> dict[UUID, Traits]:
    """What streams are filtered by, of pipelines as they are now; those that do not exist are left out."""
    async with connection(pool) as c:
        return await db.traits(c, pipelines)
