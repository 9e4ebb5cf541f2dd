"""Follow a pipeline to its end: what ``submit --watch``, ``submit --wait``, ``pipelines watch`` and ``demo`` share."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal
from uuid import UUID

import msgspec
from rich.console import Console
from rich.live import Live

from app.client import Client
from app.commands import exits
from app.commands.board import Board, line
from schemas.event import Event
from schemas.pipeline import Pipeline
from schemas.states import PIPELINE_TERMINAL

Output = Literal["table", "json"]


async def follow(client: Client, uuid: UUID, show: Callable[[Event], None]) -> Pipeline:
    """Show every event of a pipeline from its first on, and return it as it is at its end."""
    after = 0
    while True:
        async for event in client.watch(uuid, after):
            after = int(event.id or after)
            show(event)
        # What counts is what is stored now: an explicit retry may have revived it.
        pipeline = await client.get(uuid)
        if pipeline.status in PIPELINE_TERMINAL:
            return pipeline


async def watch(client: Client, uuid: UUID, output: Output, timeout_s: float | None = None) -> int:
    """Draw a pipeline until it has ended; return the exit code.

    On a terminal that is a live table, elsewhere a line per change; as JSON, a line per event.
    """
    console = Console(highlight=False, soft_wrap=True)
    board = Board.of(await client.get(uuid))
    live: AbstractContextManager[object] = nullcontext()
    if output == "table" and console.is_terminal:
        live = Live(board, console=console, refresh_per_second=8)

    def show(event: Event) -> None:
        board.apply(event)
        if output == "json":
            print(msgspec.json.encode(event).decode(), flush=True)  # noqa: T201 - data
        elif not console.is_terminal and (text := line(event)):
            print(text, flush=True)  # noqa: T201 - data

    with live:
        pipeline = await until(client, uuid, show, timeout_s)
    if pipeline is None:
        return timed_out(uuid, timeout_s)
    if output == "table":
        console.print(ending(pipeline))
    return exits.of_pipeline(pipeline.status)


async def wait(client: Client, uuid: UUID, timeout_s: float | None) -> int:
    """Wait in silence until a pipeline has ended; return the exit code."""
    pipeline = await until(client, uuid, lambda _: None, timeout_s)
    return timed_out(uuid, timeout_s) if pipeline is None else exits.of_pipeline(pipeline.status)


async def until(client: Client, uuid: UUID, show: Callable[[Event], None], timeout_s: float | None) -> Pipeline | None:
    """Follow for at most ``timeout_s``; None when that was not enough. Ctrl-C leaves the pipeline alone."""
    try:
        async with asyncio.timeout(timeout_s):
            return await follow(client, uuid, show)
    except TimeoutError:
        return None
    except asyncio.CancelledError:
        exits.say(f"Detached; the pipeline runs on. {_again(uuid)}", exits.DETACHED)
        raise


def timed_out(uuid: UUID, timeout_s: float | None) -> int:
    """Say that the wait was over before the pipeline was."""
    return exits.say(f"Not done after {timeout_s:g} s; the pipeline runs on. {_again(uuid)}", exits.TIMED_OUT)


def ending(pipeline: Pipeline) -> str:
    """Write how a pipeline ended, in a line."""
    why = f": {pipeline.error.get('message', '')}" if pipeline.error else ""
    return f"Pipeline {pipeline.uuid} {pipeline.status}{why}"


def _again(uuid: UUID) -> str:
    return f"Watch it with: headway pipelines watch {uuid}"
