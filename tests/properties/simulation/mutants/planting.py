"""Plant a defect, see whether the simulation finds it, and take it out again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, NamedTuple

from app.core import transitions
from tests.properties.simulation.run import run_seed


class Patch(NamedTuple):
    """Replace ``name`` in a module, a class or a dictionary."""

    place: Any
    name: Any
    defect: Any


class Mutant(NamedTuple):
    """A named defect. ``masked_by`` names the other guard that keeps the promise without this one."""

    name: str
    what: str
    patches: tuple[Patch, ...]
    masked_by: str | None = None


class Hunt(NamedTuple):
    """How it went: after how many schedules which rule was found broken, if any."""

    schedules: int
    rule: str | None


def mutant(
    name: str, what: str, place: Any, guard: Any, defect: Any, *more: Patch, masked_by: str | None = None
) -> Mutant:
    """Shorthand for a mutant with one patch, or a few."""
    return Mutant(name, what, (Patch(place, guard, defect), *more), masked_by)


@contextmanager
def planted(one: Mutant) -> Iterator[None]:
    """Everything inside runs with the defect.

    The grammar refuses nothing meanwhile, as SQL has no such table: a defect must be found by what it does.
    """
    lenient = (Patch(transitions, name, _forced(name)) for name in ("next_pipeline", "next_stage", "next_attempt"))
    healthy = [(patch, _swap(patch)) for patch in (*one.patches, *lenient)]
    try:
        yield
    finally:
        for patch, before in reversed(healthy):
            _swap(patch._replace(defect=before))


def _swap(patch: Patch) -> Any:
    if isinstance(patch.place, dict):
        before = patch.place[patch.name]
        patch.place[patch.name] = patch.defect
        return before
    before = getattr(patch.place, patch.name)
    if callable(patch.defect):
        patch.defect.__name__ = patch.name  # the witness knows verbs by their names
    setattr(patch.place, patch.name, patch.defect)
    return before


def _forced(name: str) -> Callable[..., StrEnum]:
    tables: dict[str, Any] = {
        "next_pipeline": transitions.PIPELINE_MOVES,
        "next_stage": transitions.STAGE_MOVES,
        "next_attempt": transitions.ATTEMPT_MOVES,
    }
    targets = {event: next(iter(moves.values())) for event, moves in tables[name].items()}
    return lambda _status, event, _pipeline=None: targets[event]


def hunt(one: Mutant, first: int, count: int, run: Callable[[int], Any] = run_seed) -> Hunt:
    """Run schedules with the defect until one breaks a rule."""
    with planted(one):
        for number in range(count):
            if rule := run(first + number).rule:
                return Hunt(number + 1, rule)
    return Hunt(count, None)
