"""``/api/v1/workers``: who runs the stages."""

from litestar import get

from app.api.state import ApiState
from app.services import workers
from schemas.worker import WorkerPage


@get("/api/v1/workers", operation_id="listWorkers", summary="List workers", tags=["workers"])
async def list_workers(state: ApiState) -> WorkerPage:
    """Those that hold a lease, and then those that left or were lost within the last hour, the newest first."""
    return WorkerPage(items=await workers.recent(state.pool), next_cursor=None)
