"""``headway periodic-tasks``: what workers do for the installation by the clock."""

from collections.abc import Sequence

from cyclopts import App

from app.commands import exits
from app.commands.calls import connect
from app.commands.terminal import OutputOption, is_wide, print_json, print_table
from app.commands.wording import age, brief, message_of
from schemas.periodic import PeriodicTask

WIDE = 120

periodic_tasks = App(name="periodic-tasks", help="List what workers do by the clock.")


@periodic_tasks.default
@periodic_tasks.command(name="ls")
async def list_periodic_tasks(*, output: OutputOption = "table") -> int:
    """List the periodic tasks: how the last run ended, when the next one is, and how many slots nobody ran."""
    async with connect() as client:
        page = await client.periodic_tasks()
    if output == "json":
        print_json(page)
        return exits.COMPLETED
    rows = [_row(each) for each in page.items]
    columns = "task, every, next, last run, outcome, missed"
    if is_wide(WIDE):
        print_table(f"{columns}, succeeded, took, worker or reason", rows, flexible="worker or reason")
    else:
        print_table(columns, [row[:6] for row in rows], flexible="task")
    return exits.COMPLETED


def _row(task: PeriodicTask) -> Sequence[object]:
    run = task.last_run
    coming = f"{task.next_run_at.astimezone():%H:%M}"
    every = brief(task.interval_s)
    if run is None:
        return task.name, every, coming, "", "", task.missed, age(task.last_success_at), "", ""
    outcome = run.outcome or "running"
    told = message_of(run.error) or run.worker
    return (
        *(task.name, every, coming, age(run.started_at), outcome, task.missed),
        *(age(task.last_success_at), brief(run.duration_s), told),
    )
