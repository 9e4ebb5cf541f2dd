"""Series: what running attempts measure, and all of it for charts."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from app.db.pool import Connection
from app.db.queries import load
from schemas.series import MetricsReport, Series

SQL = load("series")

Key = tuple[int, int]
"""An attempt, and the number of a name in it."""
FIRST: Key = (0, -1)


async def record(c: Connection, report: MetricsReport) -> None:
    """Keep what a running attempt has measured."""
    series = msgspec.json.encode(report.series).decode()
    await c.execute(SQL["record"], report.stage, report.lease_token, series)


async def of_task(
    c: Connection, task: UUID, names: Sequence[str] | None, after: Key, limit: int
) -> list[tuple[Series, Key]]:
    """At most ``limit`` series from behind ``after``, each with its key."""
    rows = await c.fetch(SQL["of_task"], task, names, *after, limit)
    return [(msgspec.json.decode(row["item"], type=Series), (row["attempt"], row["series"])) for row in rows]
