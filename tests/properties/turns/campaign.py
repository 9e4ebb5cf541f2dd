"""Many schedules of steps against one database; the same in each run."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import uvloop
from hypothesis import Phase, given, seed, settings

from tests.properties.interleaving.campaign import ALONE
from tests.properties.turns.stage import STEPS_DRAWN, Stage, Step, connected


class World(Protocol):
    """A machine in the middle of a schedule."""

    met: Counter[str]

    async def take(self, step: Step) -> None:
        """One step."""

    async def drain(self) -> None:
        """Bring everything to its end."""


def play_many(url: str, fresh: Callable[[Stage, int], Awaitable[World]], count: int) -> Counter[str]:
    """Return how often what was met; ``fresh`` makes a world, and is given the number of the schedule."""
    met: Counter[str] = Counter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        context = connected(url)
        connections = runner.run(context.__aenter__())

        @seed(1)
        @settings(ALONE, max_examples=count, phases=[Phase.generate])
        @given(STEPS_DRAWN)
        def one(steps: list[Step]) -> None:
            stage = Stage(*connections)
            runner.run(_play(stage, fresh(stage, met["schedules"]), steps, met))

        try:
            one()
        finally:
            runner.run(context.__aexit__(None, None, None))
    return met


async def _play(stage: Stage, coming: Awaitable[Any], steps: list[Step], met: Counter[str]) -> None:
    try:
        world = await coming
        for step in steps:
            await world.take(step)
        await world.drain()
    except BaseException as error:
        error.add_note("\n".join(stage.story))
        raise
    finally:
        await stage.clear()
    met.update(world.met, schedules=1)
