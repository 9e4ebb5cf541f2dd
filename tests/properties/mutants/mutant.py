"""What a mutant is, and how its defect gets into the text of a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
PROTOCOL = "migrations/0001_initial.sql"
COMPLETION = "migrations/0007_failures.sql"
"""Where the newest texts of ``complete_stages`` and ``expire_stages`` are."""
DELETION = "migrations/0008_upkeep.sql"
"""Where the newest text of ``delete_pipeline`` is."""


class Mutant(NamedTuple):
    """A named defect of one source file.

    ``swaps`` are texts of the file, each there exactly once, with what stands there instead. ``noticed_by`` are the
    names of the tests that should fail, or folders of tests. ``masked_by`` names the other guard that keeps the promise
    without this one, so that no test can notice.
    """

    name: str
    what: str
    file: str
    swaps: Mapping[str, str]
    noticed_by: tuple[str, ...]
    masked_by: str | None = None


class Misfit(Exception):
    """The file has changed, and the mutant no longer fits: look whether its guard is still there, and say where."""


def mutated(one: Mutant) -> str:
    """The text of its file with the defect.

    Raises:
        Misfit: a text to be swapped is not there exactly once.

    """
    text = (ROOT / one.file).read_text("utf-8")
    for guard, defect in one.swaps.items():
        if (times := text.count(guard)) != 1:
            raise Misfit(f"{one.name}: this is {times} times in {one.file}, and not once:\n{guard}")
        text = text.replace(guard, defect)
    return text
