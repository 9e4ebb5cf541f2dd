"""A part of ``make chaos`` that runs with all tests: what the other tests of chaos do not show."""

import random
from pathlib import Path

import pytest

from tests.chaos.campaign import report
from tests.chaos.campaign.faults import FAULTS
from tests.chaos.campaign.play import play
from tests.chaos.campaign.world import World

pytestmark = pytest.mark.chaos

TOGETHER = ("F9", "F17", "F20", "F35")
"""Schedulers that fall asleep, mangled jobs, terminated sessions, clients that hang up and API processes that die."""


@pytest.mark.parametrize("names", [TOGETHER, ("F21",)], ids="+".join)
async def test_nothing_happens_that_may_never_happen(names: tuple[str, ...], tmp_path: Path):
    async with World(tmp_path, random.Random(1)) as world:
        played = await play(world, [FAULTS[name] for name in names])

    assert played.accepted >= 20
    assert report.told([played]) == []
