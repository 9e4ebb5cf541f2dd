"""Pace: how fast running stages get on."""

import msgspec

from app.db.pool import Connection
from app.db.queries import load
from schemas.pace import RunningTotals

SQL = load("pace")


async def update(c: Connection) -> int:
    """Count anew what runs and how fast; return how many stages run."""
    running: int = await c.fetchval(SQL["update"])
    return running


async def totals(c: Connection, limit: int) -> list[RunningTotals]:
    """What was counted last, of ``limit`` tasks at most."""
    return msgspec.json.decode(await c.fetchval(SQL["totals"], limit), type=list[RunningTotals])
