"""The verbs of ``/api/v1/queues``: pause and resume."""

from litestar import post
from litestar.params import FromPath

from app.api.dispatch import after_commit
from app.api.state import ApiState
from app.services import queues
from schemas.queue import Queue
from schemas.stage import Transition


@post("/{name:str}/pause", operation_id="pauseQueue", summary="Pause a queue", status_code=202)
async def pause_queue(state: ApiState, name: FromPath[Queue]) -> None:
    """Hold its tasks back: none starts any more, and what runs goes on. Twice is no error."""
    await queues.pause(state.pool, name)


@post("/{name:str}/resume", operation_id="resumeQueue", summary="Resume a queue", status_code=202)
async def resume_queue(state: ApiState, name: FromPath[Queue]) -> None:
    """Let its tasks start again. Twice is no error."""
    await after_commit(state, Transition(queued=await queues.resume(state.pool, name)))


handlers = [pause_queue, resume_queue]
