"""``headway task-types``: what the workers of this installation can run."""

from cyclopts import App

from app.commands import exits
from app.commands.calls import connect
from app.commands.params import print_params
from app.commands.terminal import OutputOption, one_line, print_json, print_line, print_table
from app.core.wording import did_you_mean, quoted
from app.errors import NotFound
from schemas.task import TaskType

task_types = App(name="task-types", help="List what workers can run; show the params of one.")


@task_types.default
@task_types.command(name="ls")
async def list_task_types(*, output: OutputOption = "table") -> int:
    """List the task types that workers have registered, by name."""
    async with connect() as client:
        page = await client.task_types()
    if output == "json":
        print_json(page)
    else:
        rows = [(each.name, each.queue, each.slot, each.version, _about(each)) for each in page.items]
        print_table("task, queue, slot, version, description", rows, flexible="task, description")
    return exits.COMPLETED


@task_types.command
async def show(name: str, /, *, output: OutputOption = "table") -> int:
    """Show a task type: its queue and its params.

    Args:
        name: Which one.
        output: "json" prints the JSON Schemas of its params and of its result.

    """
    async with connect() as client:
        page = await client.task_types()
    found = next((each for each in page.items if each.name == name), None)
    if found is None:
        guess = did_you_mean(name, [each.name for each in page.items])
        raise NotFound(f"No worker has registered a task named {quoted(name)}{guess or '.'}")
    if output == "json":
        print_json(found)
    else:
        print_line(one_line(f"{found.name} {found.version}, {found.slot}, on the queue {found.queue}: {_about(found)}"))
        print_params(found.params_schema)
    return exits.COMPLETED


def _about(task: TaskType) -> str:
    """The first line of what it says of itself."""
    text = task.params_schema.get("description")
    return text.strip().partition("\n")[0] if isinstance(text, str) else ""
