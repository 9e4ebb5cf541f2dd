"""Selections: pipelines by filter in the order of their age, in short statements however long the history is."""

from msgspec import UNSET

from app.core.moments import require_calendar
from app.db import selection as db
from app.db.pool import Pool, connection
from app.db.selection import Key
from schemas.bulk import PipelineFilter
from schemas.pipeline import PipelineSummary

STEPS_MAX = 10_000
"""A statement looks at so many pipelines at most: some ten milliseconds."""
GROWTH = 8


async def select(
    pool: Pool,
    project: str,
    wanted: PipelineFilter,
    *,
    behind: Key | None = None,
    newest_first: bool = False,
    limit: int,
    look_at_max: int,
) -> tuple[list[tuple[PipelineSummary, Key]], Key | None]:
    """Up to ``limit`` pipelines that match, with their keys, and the key to go on behind, or None at the end.

    Name and labels have no index, so few may match among very many: after looking at some ``look_at_max`` pipelines the
    answer is what was found by then, perhaps nothing, and a key.

    Raises:
        InvalidRequest: a time is beyond the calendar.

    """
    require_calendar(created_after=wanted.created_after, created_before=wanted.created_before)
    require_calendar(cursor=UNSET if behind is None else behind.created_at)
    found: list[tuple[PipelineSummary, Key]] = []
    steps, looked_at = limit + 1, 0
    async with connection(pool) as c:
        while True:
            room = limit + 1 - len(found)
            news, behind = await db.page(
                c, project, wanted, behind=behind, newest_first=newest_first, steps=steps, limit=room
            )
            found += news
            looked_at += steps
            if len(found) > limit:
                return found[:limit], found[limit - 1][1]
            if behind is None or looked_at >= look_at_max:
                return found, behind
            steps = min(GROWTH * steps, STEPS_MAX)
