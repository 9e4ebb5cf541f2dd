"""An async client of the HTTP API, for the command line and for programs: typed answers, typed errors, live streams.

    async with Client("http://127.0.0.1:8700") as client:
        task = await client.tasks.submit({"task": "noop"})
        ended = await client.tasks.wait(task.task_id)

The groups are the nouns of the API. Every answer is a Struct of ``schemas``. Reads and calls with an idempotency key
are repeated when their answer is lost; the streams reconnect where they were cut.
"""

from typing import Any, Self

from app.client.checkpoints import Checkpoints
from app.client.errors import ApiError, Unreachable
from app.client.events import Events
from app.client.failures import Failures
from app.client.http import Http
from app.client.pipelines import Pipelines
from app.client.queues import Queues
from app.client.schedules import Schedules
from app.client.tasks import LogText, Tasks
from app.client.templates import Templates
from schemas.periodic import PeriodicTaskPage
from schemas.stats import StatsOverview
from schemas.task import TaskTypePage
from schemas.worker import WorkerPage

__all__ = ["ApiError", "Client", "LogText", "Unreachable"]


class Client:
    """Use as ``async with Client(url, token) as client``."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = Http(self.url, token)
        self.pipelines = Pipelines(self._http)
        self.tasks = Tasks(self._http, self.pipelines)
        self.queues = Queues(self._http)
        self.failures = Failures(self._http)
        self.checkpoints = Checkpoints(self._http)
        self.templates = Templates(self._http)
        self.schedules = Schedules(self._http)
        self.events = Events(self._http)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def workers(self) -> WorkerPage:
        """Who runs the stages."""
        return await self._http.get("/api/v1/workers", WorkerPage)

    async def periodic_tasks(self) -> PeriodicTaskPage:
        """What workers do by the clock."""
        return await self._http.get("/api/v1/periodic-tasks", PeriodicTaskPage)

    async def task_types(self) -> TaskTypePage:
        """What the workers of this installation can run."""
        return await self._http.get("/api/v1/task-types", TaskTypePage)

    async def overview(self) -> StatsOverview:
        """Everything at a glance."""
        return await self._http.get("/api/v1/tasks/stats/overview", StatsOverview)

    async def ready(self) -> dict[str, Any]:
        """What ``/readyz`` answers, ready or not."""
        return await self._http.ready()
