"""What the handlers share: one of each per process, made by ``app/asgi.py``."""

from litestar.datastructures import State

from app.broadcast import Broadcaster
from app.db.pool import Pool
from app.queue import JobQueue
from app.settings import Settings


class ApiState(State):
    """The application's state, typed."""

    settings: Settings
    pool: Pool
    queue: JobQueue
    broadcaster: Broadcaster
