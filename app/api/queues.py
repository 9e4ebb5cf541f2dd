"""``/api/v1/queues``: the five queues, and the verbs on one of them."""

from litestar import Router, get, post
from litestar.params import FromPath

from app.api.dispatch import after_commit
from app.api.state import ApiState
from app.errors import NotFound
from app.services import queues
from schemas.queue import QUEUES_BY_PRIORITY, Queue, QueuePage, QueueStatus
from schemas.stage import Transition


@get("/", operation_id="listQueues", summary="List queues")
async def list_queues(state: ApiState) -> QueuePage:
    """The queues in the order in which workers serve them, with what waits and what runs in each."""
    return QueuePage(items=await queues.statuses(state.pool), next_cursor=None)


@post("/{name:str}/pause", operation_id="pauseQueue", summary="Pause a queue", status_code=202)
async def pause_queue(state: ApiState, name: FromPath[str]) -> QueueStatus:
    """Hold its tasks back: none starts any more, and what runs goes on. Twice is no error."""
    queue = _named(name)
    await queues.pause(state.pool, queue)
    return await _status(state, queue)


@post("/{name:str}/resume", operation_id="resumeQueue", summary="Resume a queue", status_code=202)
async def resume_queue(state: ApiState, name: FromPath[str]) -> QueueStatus:
    """Let its tasks start again. Twice is no error."""
    queue = _named(name)
    await after_commit(state, Transition(queued=await queues.resume(state.pool, queue)))
    return await _status(state, queue)


def _named(name: str) -> Queue:
    if name not in set(Queue):
        raise NotFound(f"There is no such queue, only {', '.join(QUEUES_BY_PRIORITY)}.")
    return Queue(name)


async def _status(state: ApiState, queue: Queue) -> QueueStatus:
    return next(status for status in await queues.statuses(state.pool) if status.name == queue)


router = Router("/api/v1/queues", route_handlers=[list_queues, pause_queue, resume_queue], tags=["queues"])
