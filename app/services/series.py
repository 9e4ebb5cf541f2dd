"""Series: what attempts report as they run, kept for charts."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct
from msgspec.structs import astuple

from app.core.cursor import read_cursor, write_cursor
from app.db import series as db
from app.db import tasks as db_tasks
from app.db.pool import Pool, connection
from app.errors import NotFound
from schemas import limits
from schemas.series import MetricsReport, SeriesPage


class Cursor(Struct, frozen=True, array_like=True):
    """The last series of a page."""

    attempt: Annotated[int, Meta(ge=0, lt=2**31)]
    series: Annotated[int, Meta(ge=-1, lt=2**15)]


async def record(pool: Pool, report: MetricsReport) -> None:
    """Keep what a running attempt has measured; from one that no longer holds its stage, nothing."""
    async with connection(pool) as c:
        await db.record(c, report)


async def list_page(
    pool: Pool,
    task: UUID,
    *,
    names: Sequence[str] | None = None,
    cursor: str | None = None,
    limit: int = limits.PAGE_DEFAULT,
) -> SeriesPage:
    """One page of the series of a task, those of its first attempt first.

    Raises:
        NotFound: no such task.
        InvalidRequest: the cursor is none of ours.

    """
    after = db.FIRST if cursor is None else astuple(read_cursor(cursor, Cursor))
    async with connection(pool) as c:
        found = await db.of_task(c, task, names, after, limit + 1)
        if not found and await db_tasks.result(c, task) is None:
            raise NotFound(f"There is no task {task}.")
    shown, beyond = found[:limit], found[limit:]
    return SeriesPage(items=[series for series, _ in shown], next_cursor=write_cursor(shown[-1][1]) if beyond else None)
