"""Wait for the end of a task, and say what it was."""

import asyncio
from typing import Any
from uuid import UUID

from app.client import Client
from app.commands import exits, hints
from app.commands.wording import message_of
from schemas.states import StageStatus
from schemas.task import Task


async def waited(client: Client, task_id: UUID, timeout_s: float | None) -> Task | None:
    """Wait for the end of a task; None when ``timeout_s`` was not enough. At Ctrl-C, say that it runs on."""
    again = f"Wait for it with: {hints.command()} tasks result {task_id} --wait"
    try:
        async with asyncio.timeout(timeout_s):
            return await client.tasks.wait(task_id)
    except TimeoutError:
        exits.say(f"Not done after {timeout_s:g} s; the task goes on. {again}", exits.TIMED_OUT)
        return None
    except asyncio.CancelledError:
        exits.say(f"Detached; the task goes on. {again}", exits.DETACHED)
        raise


def end_of(status: StageStatus, error: dict[str, Any] | None) -> int:
    """Say on stderr why a task did not complete, if it did not; return the exit code."""
    code = exits.of_end(status)
    if code == exits.COMPLETED:
        return code
    why = f": {message_of(error)}" if error else ""
    return exits.say(f"The task is {status}{why}", code)
