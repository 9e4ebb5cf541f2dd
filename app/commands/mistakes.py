"""The mistakes of a pipeline file, each with its line and column."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from app.client import ApiError, Client
from app.commands import exits
from app.commands.positions import Positions
from app.commands.terminal import clean
from app.core.lint import shape_of
from schemas.problem import Fault


class Mistake(Struct, omit_defaults=True):
    """A fault, and where in the file it is."""

    code: str
    detail: str
    pointer: str = ""
    line: int | None = None
    column: int | None = None

    def in_file(self, name: str) -> str:
        """The line for people, as compilers write it."""
        place = f"{name}:{self.line}:{self.column}" if self.line else name
        return clean(f"{place}: {self.pointer or '/'}: {self.detail}")


async def asked(client: Client, spec: Mapping[str, Any]) -> list[Fault]:
    """Everything that is wrong: what does not fit is found here, and the API judges the rest."""
    shape = shape_of(spec)
    if shape.rest is None:
        return shape.faults
    try:
        await client.pipelines.check(shape.rest)
    except ApiError as refusal:
        if not refusal.faults:
            raise
        return shape.faults + [fault for fault in refusal.faults if shape.sees(fault)]
    return shape.faults


def located(text: bytes, faults: list[Fault]) -> list[Mistake]:
    """The faults in the order of the file, and keys that it has twice."""
    positions, mistakes = Positions(text), []
    for fault in faults:
        line, column = positions.of(fault.pointer) or (None, None)
        mistakes.append(Mistake(fault.code, fault.detail, fault.pointer or "", line, column))
    for key, (line, column) in positions.repeated_keys():
        mistakes.append(Mistake("repeated_key", f"the key '{clean(key)}' stands twice in one object", "", line, column))
    return sorted(mistakes, key=lambda each: (each.line or 0, each.column or 0))


def explain(file: str, text: bytes, faults: list[Fault]) -> int:
    """Say all mistakes of a file on stderr, and return the exit code."""
    name, mistakes = display_name(file), located(text, faults)
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return exits.say("\n".join([f"{name} has {count}.", *(each.in_file(name) for each in mistakes)]), exits.USAGE)


def display_name(file: str) -> str:
    """What a file is called in messages."""
    return "stdin" if file == "-" else file
