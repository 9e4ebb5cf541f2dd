"""``headway lint``: every mistake of a pipeline file, before it is submitted."""

from typing import Annotated

from cyclopts import Parameter
from msgspec import Struct

from app.client import Unreachable
from app.commands import exits
from app.commands.calls import connect
from app.commands.mistakes import Mistake, asked, display_name, located
from app.commands.spec_file import SpecFile, parse, read_text, with_params
from app.commands.terminal import OutputOption, clean, print_json, print_line
from app.core.lint import lint as find_faults
from app.errors import InvalidRequest
from schemas.task import TaskType


class Verdict(Struct):
    """The whole answer; ``checked_by`` is the address of the API that was asked, or "offline"."""

    valid: bool
    checked_by: str
    errors: list[Mistake]
    unknown_tasks: list[str]


async def lint(
    file: SpecFile,
    /,
    *,
    param: Annotated[tuple[str, ...], Parameter(name=["--param", "-p"])] = (),
    server: bool = False,
    offline: bool = False,
    output: OutputOption = "table",
) -> int:
    """Show every mistake of a pipeline file; the exit code is 0 if there is none, 1 if there are some.

    Args:
        file: YAML or JSON; "-" reads stdin.
        param: stage.param=value, as with submit.
        server: Insist on asking the API, which knows all tasks; without it, the API is asked if one answers.
        offline: Ask nobody: only the built-in tasks are known then.
        output: "json" prints code, detail, pointer, line and column of each.

    """
    if server and offline:
        raise InvalidRequest("Choose one of --server and --offline.")
    text = read_text(file)
    spec = with_params(parse(text, file), param)
    faults, unknown = find_faults(spec, built_in())
    checked_by = "offline"
    if not offline:
        try:
            async with connect() as client:
                checked_by, faults, unknown = client.url, await asked(client, spec), []
        except Unreachable as error:
            if server:
                raise
            exits.say(f"{error.detail} Checked offline.", exits.COMPLETED)
    mistakes = located(text, faults)
    verdict = Verdict(not mistakes, checked_by, mistakes, unknown)
    if output == "json":
        print_json(verdict)
    else:
        _tell(verdict, display_name(file))
    return exits.COMPLETED if verdict.valid else exits.FAILED


def built_in() -> dict[str, TaskType]:
    """The task types that every worker has."""
    from workers.tasks.built_in import BUILT_IN  # noqa: PLC0415 - the other commands need no worker
    from workers.tasks.registration import task_type  # noqa: PLC0415

    return {name: task_type(task) for name, task in BUILT_IN.items()}


def _tell(verdict: Verdict, name: str) -> None:
    for each in verdict.errors:
        print_line(each.in_file(name))
    if verdict.unknown_tasks:
        names = ", ".join(verdict.unknown_tasks)
        exits.say(f"Not built in, so their params were not checked: {clean(names)}", exits.COMPLETED)
    if verdict.valid:
        print_line(f"{name}: valid ({verdict.checked_by})")
