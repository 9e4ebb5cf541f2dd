"""Queues: pause and resume."""

from app.db.pool import Connection
from app.db.queries import load
from schemas.queue import Queue

SQL = load("queues")


async def pause(c: Connection, queue: Queue, *, paused: bool) -> None:
    """Hold back the stages of a queue, or let them go."""
    await c.execute(SQL["pause"], queue, paused)
