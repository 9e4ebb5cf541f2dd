"""Task types: what workers have registered."""

from collections.abc import Iterable

import msgspec

from app.db.pool import Connection
from app.db.queries import load
from schemas.task import TaskType

SQL = load("tasks")


async def register(c: Connection, task_types: Iterable[TaskType]) -> None:
    """Store the types, replacing older versions of the same names."""
    await c.execute(SQL["register"], msgspec.json.encode(list(task_types)).decode())


async def registered(c: Connection, project: str) -> list[TaskType]:
    """All types, by name."""
    return msgspec.json.decode(await c.fetchval(SQL["registered"], project), type=list[TaskType])
