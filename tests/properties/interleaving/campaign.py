"""Many schedules against one database."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import uvloop
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

from tests.properties.interleaving.play import play
from tests.properties.interleaving.schedule import Schedule, schedules
from tests.properties.interleaving.stand import Stand
from tests.properties.simulation.campaign import workers


class Fresh(HypothesisProvider):
    """Draws every schedule anew. Left to itself, hypothesis plays five near-copies of each that it draws."""


AVAILABLE_PROVIDERS["fresh"] = f"{__name__}.{Fresh.__name__}"
ALONE = settings(
    backend="fresh",
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
COUNT = 100
"""Schedules of a seed, unless told otherwise. The first is the emptiest that there is."""


@dataclass
class Campaign:
    """How many schedules ran, in how many of them each trouble was met, and what went wrong, if anything."""

    schedules: int = 0
    met: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def __add__(self, other: "Campaign") -> "Campaign":
        return Campaign(self.schedules + other.schedules, self.met + other.met, self.violations + other.violations)


def run_schedules(database_url: str, seed: int, count: int, *, shrink: bool = False) -> Campaign:
    """Play the ``count`` schedules of a seed; the first that breaks a rule ends it.

    The database must be migrated and of nobody else; its functions lose their impatience for good.
    """
    campaign = Campaign()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stand = runner.run(Stand.open(database_url))

        @seeded(seed)
        @settings(ALONE, max_examples=count, phases=[Phase.generate, *[Phase.shrink] * shrink])
        @given(schedules())
        def one(schedule: Schedule) -> None:
            campaign.schedules += 1
            campaign.met.update(runner.run(play(schedule, stand)))

        try:
            one()
        except Exception as broken:  # noqa: BLE001 whatever it is, it is what was looked for
            campaign.violations.append("\n".join([f"seed {seed}", *getattr(broken, "__notes__", []), repr(broken)]))
        finally:
            runner.run(stand.close())
    return campaign


def run_seeds(database_url: str, seeds: Iterable[int], count: int = COUNT) -> Campaign:
    """Play the schedules of many seeds, to the first that breaks a rule."""
    campaign = Campaign()
    for seed in seeds:
        campaign += run_schedules(database_url, seed, count)
        if campaign.violations:
            break
    return campaign


def run_many(database_urls: Sequence[str], seeds: Sequence[int]) -> Campaign:
    """Play many seeds at once, in a process for each of the databases."""
    shares = [seeds[number :: len(database_urls)] for number in range(len(database_urls))]
    with workers() as pool:
        return sum(pool.map(run_seeds, database_urls, shares), Campaign())
