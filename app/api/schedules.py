"""``/api/v1/schedules``: cron lines that submit pipelines."""

from typing import Annotated, Any

from litestar import Request, Response, Router, delete, get, patch, post
from litestar.params import FromPath, QueryParameter

from app.api.body import read_json
from app.api.state import ApiState
from app.services import schedules
from schemas import limits
from schemas.schedule import Schedule, SchedulePage, SchedulePatch, ScheduleSpec


@get("/", operation_id="listSchedules", summary="List schedules")
async def list_schedules(
    state: ApiState,
    *,
    cursor: Annotated[
        str | None, QueryParameter(max_length=limits.CURSOR_MAX, description="next_cursor of the page before")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=limits.PAGE_MAX)] = limits.PAGE_DEFAULT,
) -> SchedulePage:
    """By name, each with its next slot and what became of its last one."""
    return await schedules.list_page(state.pool, cursor=cursor, limit=limit)


@post("/", operation_id="createSchedule", summary="Store a schedule")
async def create_schedule(request: Request[Any, Any, Any], state: ApiState) -> Response[Schedule]:
    """Submit a template, or a pipeline, at every slot of a cron line from now on.

    What it submits is checked now as it will be at each slot.
    """
    spec = await read_json(request, ScheduleSpec)
    created = await schedules.create(state.pool, spec, stages_max=state.settings.stages_max)
    return Response(created, headers={"Location": f"/api/v1/schedules/{created.name}"})


@get("/{name:str}", operation_id="getSchedule", summary="Look at a schedule")
async def get_schedule(state: ApiState, name: FromPath[str]) -> Schedule:
    """Everything about one schedule, with its newest twenty slots."""
    return await schedules.get(state.pool, name)


@patch("/{name:str}", operation_id="patchSchedule", summary="Change a schedule")
async def patch_schedule(request: Request[Any, Any, Any], state: ApiState, name: FromPath[str]) -> Schedule:
    """Change it, pause it (``"paused": true``) or resume it; what is left out stays.

    A resume, a new line and a new time zone count from now: slots before are not caught up.
    """
    change = await read_json(request, SchedulePatch)
    return await schedules.patch(state.pool, name, change, stages_max=state.settings.stages_max)


@delete("/{name:str}", operation_id="deleteSchedule", summary="Delete a schedule")
async def delete_schedule(state: ApiState, name: FromPath[str]) -> None:
    """Submit nothing more; the pipelines that it has made stay."""
    await schedules.delete(state.pool, name)


router = Router(
    "/api/v1/schedules",
    route_handlers=[list_schedules, create_schedule, get_schedule, patch_schedule, delete_schedule],
    tags=["schedules"],
)
