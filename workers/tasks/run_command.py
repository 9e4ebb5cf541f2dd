"""``run_command``: any program of the user's; its exit code and last lines are the result."""

from typing import Any

from schemas.queue import Queue, Slot
from schemas.training import CommandParams, CommandResult
from workers.tasks.declaration import Task

LAST_LINES = 20


def argv(params: CommandParams) -> list[str]:
    """Return the command line as the user wrote it."""
    return params.argv


def env(params: CommandParams) -> dict[str, str]:
    """Return what the user adds to the environment."""
    return params.env


def cwd(params: CommandParams) -> str | None:
    """Return where the user wants the program to start."""
    return params.cwd


def result(log_tail: str) -> dict[str, Any]:
    """Return what is known of a program that ended well and said nothing about it."""
    return {"exit_code": 0, "last_lines": log_tail.splitlines()[-LAST_LINES:]}


RUN_COMMAND = Task(
    name="run_command",
    queue=Queue.DEFAULT,
    slot=Slot.PROCESS,
    params=CommandParams,
    result=CommandResult,
    argv=argv,
    env=env,
    cwd=cwd,
    result_of_exit=result,
)
