"""Failures, grouped by what they have in common."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from app.core.cursor import read_cursor, write_cursor
from app.core.moments import require_calendar
from app.db import failures as db
from app.db import tasks as db_tasks
from app.db.pool import Pool, connection
from schemas import limits
from schemas.diagnosis import Category
from schemas.failure import FailurePage

_Moment = Annotated[datetime, Meta(tz=True)]
_Number = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Cursor(Struct, frozen=True, array_like=True):
    """Below which failure the portion begins, and the last kind of it that was shown."""

    failed_at: _Moment
    pipeline_id: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    position: _Number = 0
    attempt: _Number = 0
    last_seen: _Moment = db.LAST
    fingerprint: Annotated[str, Meta(max_length=64, pattern=r"^[0-9a-z]*\Z")] = ""


async def list_page(
    pool: Pool,
    *,
    seen_after: datetime | None = None,
    seen_before: datetime | None = None,
    category: Category | None = None,
    task: str | None = None,
    pipeline: UUID | None = None,
    cursor: str | None = None,
    limit: int = limits.PAGE_DEFAULT,
) -> FailurePage:
    """One page of kinds of failures, those seen last first. It costs the same however long the history is.

    Raises:
        InvalidRequest: the cursor is none of ours, or a time is beyond the calendar.

    """
    require_calendar(seen_after=seen_after, seen_before=seen_before)
    place = read_cursor(cursor, Cursor) if cursor else Cursor(seen_before or db.LAST)
    require_calendar(cursor=place.failed_at)
    require_calendar(cursor=place.last_seen)
    below = (place.failed_at, place.pipeline_id, place.position, place.attempt)
    async with connection(pool) as c:
        number = None if pipeline is None else await db_tasks.pipeline_id(c, pipeline)
        if pipeline is not None and number is None:
            return FailurePage(items=[], next_cursor=None)
        selection = db.Selection(since=seen_after, category=category, task=task, pipeline_id=number)
        portion = await db.walk(c, selection, below, (place.last_seen, place.fingerprint), limit + 1)
    return FailurePage(items=portion.items[:limit], next_cursor=_next(portion, limit))


def _next(portion: db.Portion, limit: int) -> str | None:
    """Go on in this portion, which begins where it began now, whatever fails meanwhile; or with the one before it."""
    if len(portion.items) > limit:
        assert portion.newest is not None
        moment, pipeline_id, position, attempt = portion.newest
        last = portion.items[limit - 1]
        return write_cursor(Cursor(moment, pipeline_id, position, attempt + 1, last.last_seen, last.fingerprint))
    if portion.is_last:
        return None
    assert portion.oldest is not None
    return write_cursor(Cursor(*portion.oldest))
