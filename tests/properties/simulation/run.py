"""Run one schedule and say how it went."""

from typing import NamedTuple

from app.core.transitions import Refused
from tests.properties.simulation.schedule import Scenario, draw
from tests.properties.simulation.witness.violation import Violation
from tests.properties.simulation.world.world import World


class Run(NamedTuple):
    """``violation`` is the sentence that names the broken rule, or None; ``met`` is what the schedule went through."""

    rule: str | None
    violation: str | None
    met: set[str]
    fired: int
    trace: list[str]


def run(scenario: Scenario, suppressed: frozenset[int] = frozenset(), *, traced: bool = False) -> Run:
    """Run a scenario to its end, or to the first broken rule."""
    world = World(scenario, suppressed, traced=traced)
    rule = violation = None
    try:
        world.begin()
        world.run()
    except Violation as broken:
        rule, violation = broken.rule, str(broken)
    except Refused as refused:
        rule, violation = "grammar", f"grammar: {refused}"
    return Run(rule, violation, world.met, world.fired, world.trace or [])


def run_seed(seed: int) -> Run:
    """Run the schedule of a seed."""
    return run(draw(seed))
