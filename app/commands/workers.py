"""``headway workers``: who runs the stages."""

from cyclopts import App

from app.commands import exits
from app.commands.calls import connect
from app.commands.drawing import WIDE
from app.commands.terminal import OutputOption, is_wide, print_json, print_table
from app.commands.wording import age
from schemas.worker import Capacity

workers = App(name="workers", help="List workers.")


@workers.default
@workers.command(name="ls")
async def list_workers(*, output: OutputOption = "table") -> int:
    """List the workers that hold a lease, then those that left or were lost within the last hour."""
    async with connect() as client:
        page = await client.workers()
    if output == "json":
        print_json(page)
        return exits.COMPLETED
    rows = [
        (
            each.name,
            each.state,
            _busy(each.slots.process),
            _busy(each.slots.inline),
            age(each.heartbeat_at),
            age(each.started_at),
            each.version,
            ",".join(each.queues),
        )
        for each in page.items
    ]
    if is_wide(WIDE):
        print_table("worker, state, process, inline, heartbeat, age, version, queues", rows, flexible="worker, queues")
    else:
        print_table("worker, state, process, inline, heartbeat, age", [row[:6] for row in rows], flexible="worker")
    return exits.COMPLETED


def _busy(slots: Capacity) -> str:
    return f"{slots.busy}/{slots.total}"
