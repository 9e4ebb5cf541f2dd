"""The verbs of ``/api/v1/tasks``: submit one, cancel it, retry it, purge what is queued."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, post
from litestar.params import FromPath

from app.api.body import read_json
from app.api.dispatch import after_commit
from app.api.idempotency import REPLAYED, KeyHeader, create_once
from app.api.state import ApiState
from app.core.plan import Plan
from app.core.single import plan_task
from app.services import pipelines, task_control, tasks
from schemas.task import Purged, PurgeSpec, Task, TaskSpec

TaskId = FromPath[UUID]


@post("/", operation_id="submitTask", summary="Submit a task")
async def submit_task(
    request: Request[Any, Any, Any],
    state: ApiState,
    *,
    idempotency_key: KeyHeader = None,  # noqa: ARG001 - for the document; create_once reads it
) -> Response[Task]:
    """Run one task: a pipeline of one stage, started at once. Its ``task_id`` is that of the stage."""
    spec = await read_json(request, TaskSpec)

    async def planned() -> Plan:
        return plan_task(spec, await tasks.registered(state.pool))

    created = await create_once(request, state, planned)
    (task_id,) = (await pipelines.get(state.pool, created.pipeline)).stage_tasks.values()
    headers = {"Location": f"/api/v1/tasks/{task_id}", **(REPLAYED if created.replayed else {})}
    return Response(await tasks.get(state.pool, task_id), headers=headers)


@post("/{task_id:uuid}/cancel", operation_id="cancelTask", summary="Cancel a task", status_code=202)
async def cancel_task(state: ApiState, task_id: TaskId) -> Task:
    """Cancel it: at once if it waits, by its worker if it runs; 409 if it has ended. What waits for it is skipped."""
    await after_commit(state, await task_control.cancel(state.pool, task_id), cancelling=True)
    return await tasks.get(state.pool, task_id)


@post("/{task_id:uuid}/retry", operation_id="retryTask", summary="Retry a task", status_code=202)
async def retry_task(state: ApiState, task_id: TaskId) -> Task:
    """Begin again what has failed or was cancelled, and what waits for it; 409 while its pipeline goes on."""
    await after_commit(state, await task_control.retry(state.pool, task_id))
    return await tasks.get(state.pool, task_id)


@post("/purge", operation_id="purgeTasks", summary="Cancel all queued tasks", status_code=200)
async def purge_tasks(request: Request[Any, Any, Any], state: ApiState) -> Purged:
    """Cancel all that is queued, on one queue or on any; what runs goes on."""
    spec = await read_json(request, PurgeSpec) if await request.body() else PurgeSpec()
    purged, transition = await task_control.purge(state.pool, spec.queue)
    await after_commit(state, transition)
    return Purged(purged=purged)


handlers = [submit_task, cancel_task, retry_task, purge_tasks]
