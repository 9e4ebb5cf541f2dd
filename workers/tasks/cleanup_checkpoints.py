"""``cleanup_checkpoints``: keep the best checkpoints of a pipeline, delete the others."""

from schemas.queue import Queue, Slot
from schemas.training import CleanupParams, CleanupResult
from workers.tasks.task import Task, TaskContext


async def run(context: TaskContext, params: CleanupParams) -> CleanupResult:
    """Delete what the checkpoints table does not want kept."""
    raise NotImplementedError


CLEANUP_CHECKPOINTS = Task(
    name="cleanup_checkpoints",
    queue=Queue.MAINTENANCE,
    slot=Slot.INLINE,
    params=CleanupParams,
    result=CleanupResult,
    run=run,
)
