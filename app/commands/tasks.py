"""``headway tasks``: look at tasks, and the verbs on them."""

from uuid import UUID

from cyclopts import App

from app.commands import exits
from app.commands.calls import connect, enough, on_each, tell_more
from app.commands.drawing import draw_series, draw_task, draw_tasks, told_task
from app.commands.task_end import end_of, waited
from app.commands.terminal import OutputOption, print_json, print_line
from app.errors import InvalidRequest
from schemas.limits import PAGE_MAX
from schemas.queue import Queue
from schemas.states import StageStatus

tasks = App(name="tasks", help="Submit tasks, look at them and their logs, cancel, retry and purge them.")
tasks.command("app.commands.task_submit:submit", help="Run one task; prints its task id.")
tasks.command("app.commands.logs:logs", help="Print what a task has printed; -f follows it to its end.")


@tasks.command(name="ls")
async def list_tasks(
    *,
    status: tuple[StageStatus, ...] = (),
    task: str | None = None,
    queue: Queue | None = None,
    pipeline: UUID | None = None,
    limit: int = 20,
    cursor: str | None = None,
    output: OutputOption = "table",
) -> int:
    """List tasks, those of the newest pipelines first; all filters must match.

    Args:
        status: Only these; may be repeated.
        task: Only those of this task type.
        queue: Only those of this queue.
        pipeline: Only those of the pipeline with this uuid.
        limit: At most so many.
        cursor: Go on behind a list that said so.
        output: "json" prints the page as the API answers it.

    """
    async with connect() as client:
        page = await enough(
            lambda count, place: client.tasks.list(
                status=status, task=task, queue=queue, pipeline=pipeline, limit=count, cursor=place
            ),
            limit,
            cursor,
        )
    if output == "json":
        print_json(page)
    else:
        draw_tasks(page)
        tell_more(page.next_cursor)
    return exits.COMPLETED


@tasks.command
async def show(task_id: UUID, /, *, output: OutputOption = "table") -> int:
    """Show a task with its attempts."""
    async with connect() as client:
        task = await client.tasks.get(task_id)
    if output == "json":
        print_json(task)
    else:
        draw_task(task)
    return exits.COMPLETED


@tasks.command
async def result(
    task_id: UUID,
    /,
    *,
    wait: bool = False,
    timeout: float | None = None,  # noqa: ASYNC109 - an option
    output: OutputOption = "table",
) -> int:
    """Print the result of a task as JSON; the exit code is 0 completed, 1 failed or not ended yet, 3 cancelled.

    Args:
        task_id: Which one.
        wait: Wait for its end first.
        timeout: Seconds to wait for; then the exit code is 124.
        output: "json" prints status, result and error.

    """
    async with connect() as client:
        if wait and await waited(client, task_id, timeout) is None:
            return exits.TIMED_OUT
        ended = await client.tasks.result(task_id)
    if output == "json":
        print_json(ended)
        return exits.of_end(ended.status)
    if ended.result is not None:
        print_json(ended.result)
    return end_of(ended.status, ended.error)


@tasks.command
async def cancel(*task_ids: UUID, output: OutputOption = "table") -> int:
    """Cancel tasks: at once if they wait, by their workers if they run."""
    async with connect() as client:
        return await on_each(task_ids, output, client.tasks.cancel, told_task)


@tasks.command
async def retry(*task_ids: UUID, output: OutputOption = "table") -> int:
    """Begin again what has failed or was cancelled, and what waits for it."""
    async with connect() as client:
        return await on_each(task_ids, output, client.tasks.retry, told_task)


@tasks.command
async def purge(*, queue: Queue | None = None, yes: bool = False, output: OutputOption = "table") -> int:
    """Cancel all tasks that are queued; what runs goes on.

    Args:
        queue: Only those of this queue.
        yes: Do it; without this it is only counted.
        output: "json" prints how many.

    """
    async with connect() as client:
        if not yes:
            queued = sum(each.queued for each in (await client.queues.list()).items if queue in {None, each.name})
            raise InvalidRequest(
                f"This would cancel {queued} queued tasks on {queue or 'all queues'}; repeat it with --yes."
            )
        purged = await client.tasks.purge(queue)
    if output == "json":
        print_json(purged)
    else:
        print_line(f"{purged.purged} cancelled")
    return exits.COMPLETED


@tasks.command
async def metrics(
    task_id: UUID,
    /,
    *,
    name: tuple[str, ...] = (),
    output: OutputOption = "table",
) -> int:
    """Show what a task has measured.

    Args:
        task_id: Which one.
        name: Only the metric of this name; may be repeated.
        output: "json" prints every point.

    """
    async with connect() as client:
        page = await client.tasks.metrics(task_id, names=name, limit=PAGE_MAX)
    if output == "json":
        print_json(page)
    else:
        draw_series(page)
    return exits.COMPLETED
