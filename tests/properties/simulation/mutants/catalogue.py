"""All planted defects, and the hunt for them on all cores."""

from collections.abc import Iterator

from tests.properties.simulation.campaign import workers
from tests.properties.simulation.mutants import attempts, fleet, masked, one_statement, pipelines
from tests.properties.simulation.mutants.planting import Hunt, Mutant, hunt

KILLABLE = attempts.ALL + pipelines.ALL + one_statement.ALL + fleet.ALL
ALL = KILLABLE + masked.ALL
HUNTED_FOR = 40_000
"""Schedules within which a killable mutant must be found."""
SURVIVES_FOR = 5_000
"""Schedules that a masked one must survive."""


def named(name: str) -> Mutant:
    """The mutant of this name."""
    return next(each for each in ALL if each.name == name)


def hunt_named(name: str) -> Hunt:
    """Hunt it for as long as it should take."""
    one = named(name)
    return hunt(one, 0, SURVIVES_FOR if one.masked_by else HUNTED_FOR)


def hunt_all() -> Iterator[tuple[Mutant, Hunt]]:
    """Hunt every one of them."""
    with workers() as pool:
        yield from zip(ALL, pool.map(hunt_named, [each.name for each in ALL]), strict=True)
