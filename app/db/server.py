"""The Postgres server itself: what ``headway doctor`` wants to know of it."""

from datetime import datetime

from msgspec import Struct

from app.db.pool import Connection
from app.db.queries import load

SQL = load("server")


class ServerFacts(Struct, frozen=True):
    """Its version, for people, and its clock, which decides everything that has to do with time."""

    version: str
    clock: datetime


async def facts(c: Connection) -> ServerFacts:
    """Ask the server about itself."""
    row = await c.fetchrow(SQL["facts"])
    assert row is not None  # a SELECT without FROM
    return ServerFacts(row["version"], row["clock"])
