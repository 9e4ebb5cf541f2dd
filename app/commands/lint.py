"""``headway lint``: every mistake of a pipeline file, before it is submitted."""

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter
from msgspec import Struct

from app.client import ApiError, Unreachable
from app.commands import exits
from app.commands.calls import connect
from app.commands.positions import Positions
from app.commands.spec_file import SpecFile, parse, read_text, with_params
from app.commands.terminal import OutputOption, clean, print_json, print_line
from app.core.lint import lint as find_faults
from app.errors import InvalidRequest
from schemas.problem import Fault
from schemas.task import TaskType


class Mistake(Struct, omit_defaults=True):
    """A fault, and where in the file it is."""

    code: str
    detail: str
    pointer: str = ""
    line: int | None = None
    column: int | None = None


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
            checked_by, faults, unknown = await _asked(spec, faults, unknown)
        except Unreachable as error:
            if server:
                raise
            exits.say(f"{error.detail} Checked offline.", exits.COMPLETED)
    verdict = _verdict(Positions(text), faults, unknown, checked_by)
    if output == "json":
        print_json(verdict)
    else:
        _tell(verdict, "stdin" if file == "-" else file)
    return exits.COMPLETED if verdict.valid else exits.FAILED


async def _asked(
    spec: Mapping[str, Any], faults: list[Fault], unknown: list[str]
) -> tuple[str, list[Fault], list[str]]:
    """What the API says of it; where it only tells one misfit of the shape, the offline list tells all."""
    async with connect() as client:
        try:
            await client.pipelines.check(spec)
        except ApiError as refusal:
            if not refusal.faults:
                raise
            shapeless = {"required", "unknown_field", "invalid_value"} & {fault.code for fault in refusal.faults}
            return client.url, faults if shapeless and faults else list(refusal.faults), unknown if shapeless else []
        return client.url, [], []


def built_in() -> dict[str, TaskType]:
    """The task types that every worker has."""
    from workers.tasks.built_in import BUILT_IN  # noqa: PLC0415 - the other commands need no worker
    from workers.tasks.registration import task_type  # noqa: PLC0415

    return {name: task_type(task) for name, task in BUILT_IN.items()}


def _verdict(positions: Positions, faults: list[Fault], unknown: list[str], checked_by: str) -> Verdict:
    mistakes = []
    for fault in faults:
        line, column = positions.of(fault.pointer) or (None, None)
        mistakes.append(Mistake(fault.code, fault.detail, fault.pointer or "", line, column))
    for key, (line, column) in positions.repeated_keys():
        mistakes.append(Mistake("repeated_key", f"the key '{clean(key)}' stands twice in one object", "", line, column))
    mistakes.sort(key=lambda each: (each.line or 0, each.column or 0))
    return Verdict(not mistakes, checked_by, mistakes, unknown)


def _tell(verdict: Verdict, name: str) -> None:
    for each in verdict.errors:
        place = f"{name}:{each.line}:{each.column}" if each.line else name
        print_line(clean(f"{place}: {each.pointer or '/'}: {each.detail}"))
    if verdict.unknown_tasks:
        names = ", ".join(verdict.unknown_tasks)
        exits.say(f"Not built in, so their params were not checked: {clean(names)}", exits.COMPLETED)
    if verdict.valid:
        print_line(f"{name}: valid ({verdict.checked_by})")
