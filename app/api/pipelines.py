"""``/api/v1/pipelines``: submit, list, look, and the verbs on one pipeline."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Request, Response, Router, delete, get, patch, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import UNSET

from app.api.body import read_json
from app.api.dispatch import after_commit, after_delete
from app.api.events import stream_events
from app.api.graph import get_pipeline_graph
from app.api.idempotency import REPLAYED, KeyHeader, create_once
from app.api.query import aware, labels
from app.api.state import ApiState
from app.core.patch import changes
from app.core.plan import Plan, plan
from app.services import pipelines, tasks
from schemas import limits
from schemas.bulk import PipelineFilter
from schemas.pipeline import (
    DryRun,
    Pipeline,
    PipelinePage,
    PipelinePatch,
    PipelineProgress,
    PipelineSpec,
    PlannedStage,
)
from schemas.states import PipelineStatus

PipelineId = FromPath[UUID]


@post(
    "/",
    operation_id="createPipeline",
    summary="Submit a pipeline",
    responses={200: ResponseSpec(DryRun, description="Valid; nothing was stored (dry_run=true).")},
)
async def create_pipeline(
    request: Request[Any, Any, Any],
    state: ApiState,
    *,
    dry_run: FromQuery[bool] = False,
    idempotency_key: KeyHeader = None,  # noqa: ARG001 - for the document; create_once reads it
) -> Response[Pipeline]:
    """Store a pipeline, and start it if the body says ``"start": true``.

    With an ``Idempotency-Key`` the call may be repeated: the answer is the pipeline that the first one has created.
    """
    spec = await read_json(request, PipelineSpec)

    async def planned() -> Plan:
        return plan(spec, await tasks.registered(state.pool), stages_max=state.settings.stages_max)

    if dry_run:
        return dry_run_of(await planned())
    created = await create_once(request, state, planned)
    headers = {"Location": f"/api/v1/pipelines/{created.pipeline}", **(REPLAYED if created.replayed else {})}
    return Response(await pipelines.get(state.pool, created.pipeline), headers=headers)


@get("/", operation_id="listPipelines", summary="List pipelines")
async def list_pipelines(
    state: ApiState,
    *,
    status: FromQuery[list[PipelineStatus] | None] = None,
    name: FromQuery[str | None] = None,
    label: Annotated[list[str] | None, QueryParameter(description="key:value; all that are given must match")] = None,
    created_after: Annotated[datetime | None, QueryParameter(description="RFC 3339, with a time zone")] = None,
    cursor: Annotated[
        str | None, QueryParameter(max_length=limits.CURSOR_MAX, description="next_cursor of the page before")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=limits.PAGE_MAX)] = limits.PAGE_DEFAULT,
    sort: FromQuery[Literal["created_at", "-created_at"]] = "-created_at",
) -> PipelinePage:
    """Pipelines, newest first; all filters must match, and a pipeline must have one of the given statuses.

    When few match among very many, a page may have less than ``limit`` and still a ``next_cursor``.
    """
    wanted = PipelineFilter(
        status=status or UNSET,
        name=UNSET if name is None else name,
        labels=dict(labels(label)) if label else UNSET,
        created_after=aware("created_after", created_after) or UNSET,
    )
    return await pipelines.list_page(state.pool, wanted, cursor=cursor, limit=limit, sort=sort)


@get("/{uuid:uuid}", operation_id="getPipeline", summary="Look at a pipeline")
async def get_pipeline(state: ApiState, uuid: PipelineId) -> Pipeline:
    """Everything about one pipeline: its stages, their tasks' ids, results and errors."""
    return await pipelines.get(state.pool, uuid)


@patch("/{uuid:uuid}", operation_id="patchPipeline", summary="Change a pipeline")
async def patch_pipeline(request: Request[Any, Any, Any], state: ApiState, uuid: PipelineId) -> Pipeline:
    """Change name, description, labels or priority, in any state; what is left out stays.

    ``labels`` replaces all labels. A new priority counts at once for what is queued.
    """
    wanted = changes(await read_json(request, PipelinePatch))
    await after_commit(state, await pipelines.patch(state.pool, uuid, wanted))
    return await pipelines.get(state.pool, uuid)


@get("/{uuid:uuid}/status", operation_id="getPipelineStatus", summary="Look at a pipeline's progress")
async def get_pipeline_status(state: ApiState, uuid: PipelineId) -> PipelineProgress:
    """The light answer: status, counts by stage status, progress from 0 to 1."""
    return await pipelines.progress(state.pool, uuid)


@post("/{uuid:uuid}/start", operation_id="startPipeline", summary="Start a pipeline", status_code=202)
async def start_pipeline(state: ApiState, uuid: PipelineId) -> Pipeline:
    """Release the stages that wait for nothing; 409 if it was started before."""
    await after_commit(state, await pipelines.start(state.pool, uuid))
    return await pipelines.get(state.pool, uuid)


@post("/{uuid:uuid}/cancel", operation_id="cancelPipeline", summary="Cancel a pipeline", status_code=202)
async def cancel_pipeline(state: ApiState, uuid: PipelineId) -> Pipeline:
    """Start nothing of it any more and stop what runs; 409 if it has ended."""
    await after_commit(state, await pipelines.cancel(state.pool, uuid), cancelling=True)
    return await pipelines.get(state.pool, uuid)


@post("/{uuid:uuid}/retry", operation_id="retryPipeline", summary="Retry a pipeline", status_code=202)
async def retry_pipeline(state: ApiState, uuid: PipelineId) -> Pipeline:
    """Go on where it failed or was cancelled, keeping what has completed; 409 unless it has ended so."""
    await after_commit(state, await pipelines.retry(state.pool, uuid))
    return await pipelines.get(state.pool, uuid)


@post("/{uuid:uuid}/pause", operation_id="pausePipeline", summary="Pause a pipeline", status_code=202)
async def pause_pipeline(state: ApiState, uuid: PipelineId) -> Pipeline:
    """Start nothing more of it until a resume, and let what runs finish; 409 unless it is running."""
    await after_commit(state, await pipelines.pause(state.pool, uuid))
    return await pipelines.get(state.pool, uuid)


@post("/{uuid:uuid}/resume", operation_id="resumePipeline", summary="Resume a pipeline", status_code=202)
async def resume_pipeline(state: ApiState, uuid: PipelineId) -> Pipeline:
    """Start what has waited since the pause; 409 unless it is paused."""
    await after_commit(state, await pipelines.resume(state.pool, uuid))
    return await pipelines.get(state.pool, uuid)


@delete("/{uuid:uuid}", operation_id="deletePipeline", summary="Delete a pipeline")
async def delete_pipeline(state: ApiState, uuid: PipelineId) -> None:
    """Remove a pipeline that has ended or was never started, its artifacts with it; 409 while it is under way."""
    await pipelines.delete(state.pool, uuid)
    await after_delete(state, uuid)


def dry_run_of(planned: Plan) -> Response[Any]:
    """Answer what would have been stored."""
    stages = [PlannedStage(stage.name, stage.task, stage.queue, stage.depends_on) for stage in planned.stages]
    return Response(DryRun(valid=True, name=planned.name, stages=stages), status_code=200)


router = Router(
    "/api/v1/pipelines",
    route_handlers=[
        create_pipeline,
        list_pipelines,
        get_pipeline,
        patch_pipeline,
        get_pipeline_status,
        get_pipeline_graph,
        start_pipeline,
        cancel_pipeline,
        retry_pipeline,
        pause_pipeline,
        resume_pipeline,
        delete_pipeline,
        stream_events,
    ],
    tags=["pipelines"],
)
