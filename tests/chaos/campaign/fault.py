"""What a fault is, and the list of all."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.chaos.campaign.load import Load
from tests.chaos.campaign.world import World

Deed = Callable[[World, Load], Awaitable[int]]
"""Does it while the load flows; returns how often it happened, and a round without is void."""


class Fault(NamedTuple):
    """A named fault. ``missing`` tells what this machine lacks for it, if anything."""

    number: int
    what: str
    deed: Deed
    missing: Callable[[], str | None]
    max_retries: int
    keeps_attempts: bool
    alone: bool

    @property
    def name(self) -> str:
        """As in the plan: F1, F2, …"""
        return f"F{self.number}"


FAULTS: dict[str, Fault] = {}


def fault(
    number: int,
    *,
    missing: Callable[[], str | None] = lambda: None,
    max_retries: int = 0,
    keeps_attempts: bool = False,
    alone: bool = False,
) -> Callable[[Deed], Deed]:
    """Register a fault under its number; its docstring is the sentence that people read.

    ``max_retries`` are those of the stages of the load. ``keeps_attempts``: it may cost no attempt at all. ``alone``: a
    soak does not mix it with others.
    """

    def register(deed: Deed) -> Deed:
        what = (deed.__doc__ or "").strip().splitlines()[0]
        made = Fault(number, what, deed, missing, max_retries, keeps_attempts, alone)
        FAULTS[made.name] = made
        return deed

    return register
