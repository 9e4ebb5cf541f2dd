"""``/api/v1/periodic-tasks``: what workers do for the installation by the clock."""

from litestar import get

from app.api.state import ApiState
from app.services import periodic
from schemas.periodic import PeriodicTaskPage


@get("/api/v1/periodic-tasks", operation_id="listPeriodicTasks", summary="List periodic tasks", tags=["schedules"])
async def list_periodic_tasks(state: ApiState) -> PeriodicTaskPage:
    """Each with its last run, its next, and how many slots went by without a worker to run them."""
    return PeriodicTaskPage(items=await periodic.every(state.pool), next_cursor=None)
