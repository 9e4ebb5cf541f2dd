"""What the handlers share: one of each per process, made by ``app/asgi.py``."""

from collections.abc import Awaitable, Callable, Mapping

from litestar.datastructures import State

from app.broadcast import Broadcaster
from app.db.pool import Pool
from app.queue import JobQueue
from app.settings import Settings

Check = Callable[[], Awaitable[str | None]]
"""Returns what is wrong, or None; raises when its server is away."""


class ApiState(State):
    """The application's state, typed."""

    settings: Settings
    pool: Pool
    queue: JobQueue
    broadcaster: Broadcaster
    heartbeat_s: float
    checks: Mapping[str, Check]
