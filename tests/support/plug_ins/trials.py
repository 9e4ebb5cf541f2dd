"""Tasks that plug in and behave as they are told: inline ones and, with the same fields, ones with a process."""

import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from workers.tasks import NotRetryable, Slot, Task, TaskContext, task


class Trial(Struct, forbid_unknown_fields=True):
    """What to do; ``tell`` is a file that learns of it."""

    does: str = "return"
    tell: str = ""


class Told(Struct, forbid_unknown_fields=True):
    """What was found."""

    attempt: int = 0
    run_dir: str = ""
    environment: dict[str, str] = field(default_factory=dict)


def act(context: TaskContext, params: Trial) -> Told:
    """Do what can be done without waiting."""
    does: dict[str, Any] = {
        "return": lambda: None,
        "raise": lambda: {}["no such key"],
        "refuse": lambda: (_ for _ in ()).throw(NotRetryable("no column named price")),
        "exit": lambda: sys.exit(0),
        "leave": context.leave,
    }
    does[params.does]()
    return Told(context.attempt, str(context.run_dir), dict(os.environ))


@task(queue="maintenance")
async def try_inline(context: TaskContext, params: Trial) -> Told:
    """Do it in the worker."""
    match params.does:
        case "lie":
            return None
        case "wait":
            Path(params.tell).write_text("waits")
            await asyncio.sleep(600)
        case "report":
            context.progress(1, 4)
            reporting = threading.Thread(target=context.progress, args=(1, 2))
            reporting.start()
            await asyncio.to_thread(reporting.join)
            (context.run_dir / "note").write_text("written here")
    told = act(context, params) if params.does in {"return", "raise", "refuse", "exit"} else Told()
    return Told(told.attempt or context.attempt, str(context.run_dir))


@task(queue="default")
def try_process(context: TaskContext, params: Trial) -> Told:
    """Do it in a process."""
    if params.does == "lie":
        return {"attempt": "many"}
    if params.does == "wait":
        try:
            Path(params.tell).write_text("waits")
            threading.Event().wait(600)
        finally:
            Path(params.tell).write_text("cleaned up")
    return act(context, params)


TRY_COMMAND = Task(
    name="try.command",
    queue="default",
    slot=Slot.PROCESS,
    params=Trial,
    result=Told,
    argv=lambda params: [sys.executable, "-c", f"print({params.does!r})"],
    result_of_exit=lambda log: {"run_dir": log.strip()},
)
