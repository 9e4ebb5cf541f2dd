"""Tasks: stages seen on their own. Submit one, look at it, wait for it, read its log, and the verbs on one of them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct

from app.client.http import Http, pairs
from app.client.pipelines import Pipelines
from app.client.stream import follow
from schemas.event import EventType
from schemas.limits import PAGE_DEFAULT
from schemas.queue import Queue
from schemas.series import SeriesPage
from schemas.states import STAGE_TERMINAL, StageStatus
from schemas.task import Purged, PurgeSpec, Task, TaskPage, TaskResult

PATH = "/api/v1/tasks"
ENDS = frozenset(
    {EventType.STAGE_COMPLETED, EventType.STAGE_FAILED, EventType.STAGE_SKIPPED, EventType.STAGE_CANCELLED}
)


class LogText(Struct, frozen=True):
    """A piece of a log as it was written; lines may be cut between two pieces."""

    attempt: int
    text: str


class Tasks:
    """``client.tasks``. What takes a task's id raises ApiError 404 when there is no such task."""

    def __init__(self, http: Http, pipelines: Pipelines) -> None:
        self._http = http
        self._pipelines = pipelines

    async def submit(self, spec: Mapping[str, Any], *, idempotency_key: str | None = None) -> Task:
        """Run one task; ``spec`` is the body as the API documents it. Repeated like the creation of a pipeline."""
        return await self._http.create(PATH, spec, Task, key=idempotency_key or str(uuid4()))

    async def list(
        self,
        *,
        status: tuple[StageStatus, ...] = (),
        task: str | None = None,
        queue: Queue | None = None,
        pipeline: UUID | None = None,
        limit: int = PAGE_DEFAULT,
        cursor: str | None = None,
    ) -> TaskPage:
        """One page of tasks, those of the newest pipelines first; a page may be short before the last one."""
        query = {"status": status, "task": task, "queue": queue, "pipeline": pipeline, "limit": limit, "cursor": cursor}
        return await self._http.get(PATH, TaskPage, **query)

    async def get(self, task_id: UUID) -> Task:
        """Everything about one task, its attempts too."""
        return await self._http.get(f"{PATH}/{task_id}", Task)

    async def result(self, task_id: UUID) -> TaskResult:
        """How it ended; ApiError 409 while it has not."""
        return await self._http.get(f"{PATH}/{task_id}/result", TaskResult)

    async def wait(self, task_id: UUID) -> Task:
        """Wait for the end of a task, however often it is tried until then, and return it as it ended."""
        after = 0
        while (task := await self.get(task_id)).status not in STAGE_TERMINAL:
            async with aclosing(self._pipelines.watch(task.pipeline, after)) as events:
                async for event in events:
                    after = int(event.id or after)
                    if event.subject == task.name and event.type in ENDS:
                        break
        return task

    async def cancel(self, task_id: UUID) -> Task:
        """Cancel it; ApiError 409 if it has ended."""
        return await self._http.send("POST", f"{PATH}/{task_id}/cancel", Task)

    async def retry(self, task_id: UUID) -> Task:
        """Begin again what has failed or was cancelled; ApiError 409 while its pipeline goes on."""
        return await self._http.send("POST", f"{PATH}/{task_id}/retry", Task)

    async def purge(self, queue: Queue | None = None) -> Purged:
        """Cancel all that is queued, on one queue or on all; what runs goes on."""
        return await self._http.send("POST", f"{PATH}/purge", Purged, PurgeSpec(queue))

    async def metrics(
        self, task_id: UUID, *, names: tuple[str, ...] = (), limit: int = PAGE_DEFAULT, cursor: str | None = None
    ) -> SeriesPage:
        """One page of what its attempts have measured."""
        return await self._http.get(f"{PATH}/{task_id}/metrics", SeriesPage, name=names, limit=limit, cursor=cursor)

    async def logs(self, task_id: UUID, *, attempt: int | None = None, tail: int | None = None) -> str:
        """The last lines of what an attempt has printed; the newest attempt unless one is named."""
        return await self._http.get_text(f"{PATH}/{task_id}/logs", attempt=attempt, tail=tail)

    async def follow_logs(
        self, task_id: UUID, *, attempt: int | None = None, tail: int | None = None
    ) -> AsyncGenerator[LogText]:
        """Yield the last lines and then what is printed as it comes, through the attempts that follow, to the end.

        Reconnects where the stream was cut, and neither misses nor repeats anything. Raises as
        ``app.client.stream.follow``.
        """
        query = pairs({"follow": True, "attempt": attempt, "tail": tail})
        async with aclosing(follow(self._http, f"{PATH}/{task_id}/logs", query)) as messages:
            async for message in messages:
                yield msgspec.json.decode(message.data, type=LogText)
