"""``headway tasks logs``: what a task has printed, or what it prints as it comes."""

import asyncio
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from app.client import Client
from app.commands import exits
from app.commands.calls import connect
from app.commands.task_end import end_of
from app.commands.terminal import Output, OutputOption, print_json, print_text


async def logs(
    task_id: UUID,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    tail: int | None = None,
    attempt: int | None = None,
    output: OutputOption = "table",
) -> int:
    """Print the last lines of what a task has printed.

    Args:
        task_id: Which one.
        follow: Go on as it prints, through all attempts to its end; exit code 0 completed, 1 failed, 3 cancelled.
        tail: So many of the last lines; 1,000 unless given.
        attempt: Of this attempt; the newest unless given.
        output: "json" prints {"attempt", "text"} for each piece.

    """
    async with connect() as client:
        if follow:
            return await _follow(client, task_id, attempt, tail, output)
        number = attempt or (await client.tasks.get(task_id)).attempt
        text = await client.tasks.logs(task_id, attempt=number or None, tail=tail)
    if output == "json":
        print_json({"attempt": number, "text": text})
    else:
        print_text(text)
    return exits.COMPLETED


async def _follow(client: Client, task_id: UUID, attempt: int | None, tail: int | None, output: Output) -> int:
    shown = None
    try:
        async with aclosing(client.tasks.follow_logs(task_id, attempt=attempt, tail=tail)) as pieces:
            async for piece in pieces:
                if output == "json":
                    print_json(piece)
                    continue
                if shown not in {None, piece.attempt}:
                    exits.say(f"attempt {piece.attempt}", exits.COMPLETED)
                shown = piece.attempt
                print_text(piece.text)
    except asyncio.CancelledError:
        exits.say(f"Detached; the task goes on. Follow it with: headway tasks logs -f {task_id}", exits.DETACHED)
        raise
    task = await client.tasks.get(task_id)
    return end_of(task.status, task.error)
