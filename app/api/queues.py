"""``/api/v1/queues``: the five queues."""

from litestar import Router, get

from app.api.state import ApiState
from app.services import queues
from schemas.queue import QueuePage


@get("/", operation_id="listQueues", summary="List queues")
async def list_queues(state: ApiState) -> QueuePage:
    """The queues in the order in which workers serve them, with what waits and what runs in each."""
    return QueuePage(items=await queues.statuses(state.pool), next_cursor=None)


router = Router("/api/v1/queues", route_handlers=[list_queues], tags=["queues"])
