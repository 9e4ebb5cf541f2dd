"""``/api/v1/pipelines/actions/…``: cancel, retry or delete many pipelines by filter, with an answer for each."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import structlog
from litestar import Request, Router, post
from litestar.params import FromQuery
from msgspec import UNSET

from app.api.body import read_json
from app.api.dispatch import after_commit, after_delete
from app.api.problems import problem_of
from app.api.request_id import request_id
from app.api.state import ApiState
from app.core.bulk import FITTING, meant
from app.errors import Conflict, HeadwayError, NotFound
from app.services import bulk
from app.services.bulk import Done
from schemas.bulk import BulkAnswer, BulkItem, BulkRequest, BulkVerb
from schemas.stage import Transition
from schemas.states import PipelineStatus

CHUNK = 50
"""After so many transactions Redis and the streams are told of them."""
TIME_MAX_S = 20.0
"""After so long a call ends, and says where to go on."""
log = structlog.get_logger("headway.api")

Asked = Request[Any, Any, Any]


@post("/cancel", operation_id="cancelPipelines", summary="Cancel many pipelines", status_code=200)
async def cancel_pipelines(request: Asked, state: ApiState, *, dry_run: FromQuery[bool] = False) -> BulkAnswer:
    """Cancel all that match and have not ended; with ``dry_run=true`` only say which."""
    return await _act(request, state, BulkVerb.CANCEL, dry_run=dry_run)


@post("/retry", operation_id="retryPipelines", summary="Retry many pipelines", status_code=200)
async def retry_pipelines(request: Asked, state: ApiState, *, dry_run: FromQuery[bool] = False) -> BulkAnswer:
    """Retry all that match and have failed or were cancelled; with ``dry_run=true`` only say which."""
    return await _act(request, state, BulkVerb.RETRY, dry_run=dry_run)


@post("/delete", operation_id="deletePipelines", summary="Delete many pipelines", status_code=200)
async def delete_pipelines(request: Asked, state: ApiState, *, dry_run: FromQuery[bool] = False) -> BulkAnswer:
    """Delete all that match and are not under way, artifacts with them; with ``dry_run=true`` only say which."""
    return await _act(request, state, BulkVerb.DELETE, dry_run=dry_run)


async def _act(request: Asked, state: ApiState, verb: BulkVerb, *, dry_run: bool) -> BulkAnswer:
    wanted = await read_json(request, BulkRequest)
    selected = await bulk.select(state.pool, meant(verb, wanted), None if wanted.cursor is UNSET else wanted.cursor)
    if dry_run:
        items = [_foreseen(request, verb, uuid, status) for uuid, status in selected.pipelines.items()]
    else:
        items = await _act_on(request, state, verb, list(selected.pipelines))
    next_cursor = selected.cursor_behind(len(items))
    missing = [_item(request, uuid, None, NotFound(f"There is no pipeline {uuid}.")) for uuid in selected.missing]
    return BulkAnswer(matched=len(items), more=next_cursor is not None, next_cursor=next_cursor, items=items + missing)


async def _act_on(request: Asked, state: ApiState, verb: BulkVerb, uuids: Sequence[UUID]) -> list[BulkItem]:
    """Chunk by chunk, one at least, until the time is over."""
    clock, items = asyncio.get_running_loop().time, list[BulkItem]()
    end_at = clock() + TIME_MAX_S
    for start in range(0, len(uuids), CHUNK):
        chunk = uuids[start : start + CHUNK]
        done = await bulk.act(state.pool, verb, chunk)
        await after_commit(state, _joined(done), cancelling=verb is BulkVerb.CANCEL)
        if verb is BulkVerb.DELETE:
            done = [await _swept(state, each) for each in done]
        statuses = await bulk.statuses(state.pool, chunk)
        items += [_item(request, each.pipeline, statuses.get(each.pipeline), each.refusal) for each in done]
        if clock() > end_at:
            break
    return items


async def _swept(state: ApiState, deleted: Done) -> Done:
    if deleted.refusal is not None:
        return deleted
    try:
        await after_delete(state, deleted.pipeline)
    except OSError as error:
        log.exception("artifacts_not_removed", pipeline=str(deleted.pipeline))
        detail = f"The pipeline is deleted, but its artifacts could not be removed: {error.strerror}."
        return Done(deleted.pipeline, refusal=HeadwayError(detail))
    return deleted


def _joined(done: Iterable[Done]) -> Transition:
    transitions = [each.transition for each in done]
    return Transition(
        hints=[hint for transition in transitions for hint in transition.hints],
        queued=[stage for transition in transitions for stage in transition.queued],
    )


def _foreseen(request: Asked, verb: BulkVerb, uuid: UUID, status: PipelineStatus) -> BulkItem:
    """What would become of a pipeline as it is now."""
    if status in FITTING[verb]:
        return _item(request, uuid, status, None)
    detail = f"The pipeline is {status}; {verb} fits pipelines that are {' or '.join(FITTING[verb])}."
    return _item(request, uuid, status, Conflict(detail))


def _item(request: Asked, uuid: UUID, status: PipelineStatus | None, refusal: HeadwayError | None) -> BulkItem:
    if refusal is None:
        return BulkItem(uuid=uuid, ok=True, status=status)
    problem = problem_of(refusal, f"/api/v1/pipelines/{uuid}", request_id(request.scope))
    return BulkItem(uuid=uuid, ok=False, status=status, problem=problem)


router = Router(
    "/api/v1/pipelines/actions",
    route_handlers=[cancel_pipelines, retry_pipelines, delete_pipelines],
    tags=["pipelines"],
)
