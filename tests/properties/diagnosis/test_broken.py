"""The proof: real programs, broken in every way that this machine allows, and what the diagnosis says of them."""

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from schemas.diagnosis import Category
from tests.properties.diagnosis.attempts import Broken, end_of, is_falsely_never, is_right
from tests.properties.diagnosis.broken import data, later, machine, moved_on, program, ranks
from tests.properties.diagnosis.broken.noise import noisy

AT_ONCE = 2
"""So many run at once, and besides them as many of those that only wait for their timeout."""
RIGHT_MIN = 0.95
EACH_MIN = 3
CGROUP = Path("/sys/fs/cgroup/memory")
PLAIN = (*machine.ALL, *data.ALL, *program.ALL, *ranks.ALL, *later.ALL, *moved_on.ALL)
NOT_HERE = {Category.NODE_LOST, Category.CANCELLED, Category.ORCHESTRATOR_BUG, Category.PREEMPTED}
"""What no program can bring about: Headway's own facts."""


def can_run(one: Broken) -> bool:
    """Whether this machine lets us: not everybody may make a cgroup that is too small."""
    may = os.access(CGROUP, os.W_OK) and (CGROUP / "memory.limit_in_bytes").exists()
    return may or "oom_kill" not in one.name


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the programs die as they do on Linux")
CORPUS = tuple(filter(can_run, (*PLAIN, *noisy(PLAIN))))


async def test_real_failures_are_diagnosed_right_and_none_is_falsely_given_up(tmp_path):
    ends = await all_ends(tmp_path)
    wrong = {
        one.name: (one.expected.value, found and found.category) for one, found in ends if not is_right(one, found)
    }
    never = [one.name for one, found in ends if is_falsely_never(one, found)]
    assert len(ends) >= 150
    assert never == []
    assert len(wrong) <= (1 - RIGHT_MIN) * len(ends), wrong


def test_each_category_is_there_several_times():
    times = Counter(one.expected for one in CORPUS)
    assert {each for each in Category if times[each] < EACH_MIN} <= NOT_HERE | {Category.HOST_OOM_KILL}


async def all_ends(directory: Path):
    """Run them all, a few at once."""
    busy, waiting = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)

    async def run(one: Broken):
        async with waiting if one in machine.TIMED else busy:
            return one, (await end_of(one, directory / one.name)).diagnosis

    return await asyncio.gather(*map(run, CORPUS))


@pytest.mark.parametrize("one", [one for one in ranks.HEALING if one.heals], ids=lambda one: one.name)
async def test_what_heals_by_itself_does_heal(tmp_path, one):
    await end_of(one, tmp_path)
    assert (await end_of(one, tmp_path)).outcome == "completed"
