"""Task types: what the workers of this installation can run."""

from collections.abc import Iterable

from app.db import tasks as db
from app.db.pool import Pool, connection
from schemas.task import TaskType


async def register(pool: Pool, task_types: Iterable[TaskType]) -> None:
    """Tell the installation what a worker can run; the newest registration of a name counts."""
    async with connection(pool) as c:
        await db.register(c, task_types)


async def registered(pool: Pool, project: str = "default") -> dict[str, TaskType]:
    """Every task type, by name."""
    async with connection(pool) as c:
        return {task_type.name: task_type for task_type in await db.registered(c, project)}
