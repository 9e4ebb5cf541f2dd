"""``headway queues``: what waits, and holding it back."""

from cyclopts import App

from app.commands import exits
from app.commands.calls import connect
from app.commands.terminal import Output, OutputOption, print_json, print_table
from app.commands.wording import brief
from schemas.queue import Queue, QueueStatus

queues = App(name="queues", help="List queues; pause and resume them.")


@queues.default
@queues.command(name="ls")
async def list_queues(*, output: OutputOption = "table") -> int:
    """List the queues in the order in which workers serve them."""
    async with connect() as client:
        page = await client.queues.list()
    if output == "json":
        print_json(page)
    else:
        _draw(page.items)
    return exits.COMPLETED


@queues.command
async def pause(name: Queue, /, *, output: OutputOption = "table") -> int:
    """Start nothing of a queue until a resume; what runs goes on."""
    async with connect() as client:
        return _tell(await client.queues.pause(name), output)


@queues.command
async def resume(name: Queue, /, *, output: OutputOption = "table") -> int:
    """Let the tasks of a queue start again."""
    async with connect() as client:
        return _tell(await client.queues.resume(name), output)


def _tell(queue: QueueStatus, output: Output) -> int:
    if output == "json":
        print_json(queue)
    else:
        _draw([queue])
    return exits.COMPLETED


def _draw(items: list[QueueStatus]) -> None:
    rows = [
        (
            each.name,
            each.priority,
            "paused" if each.paused else "open",
            each.queued,
            each.running,
            brief(each.oldest_age_s),
        )
        for each in items
    ]
    print_table("queue, priority, state, queued, running, oldest", rows)
