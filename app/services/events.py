"""Events: what the streams deliver."""

from uuid import UUID

from app.db import events as db
from app.db.pool import Pool, connection
from app.errors import NotFound
from schemas.event import Event


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
