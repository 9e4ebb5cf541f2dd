"""Random pipelines under random calls go, on real processes, exactly as the reference says."""

import asyncio
from collections import Counter

from hypothesis import Phase, given, settings

from tests.properties.stack.plans import STAGES_MAX, VERBS, Story, stories
from tests.properties.stack.play import Player

STORIES = 200
AT_ONCE = 20


def written() -> list[Story]:
    """All stories, so that many can be played at once."""
    found: list[Story] = []

    @settings(max_examples=STORIES, phases=[Phase.generate], database=None)
    @given(story=stories())
    def write(story: Story) -> None:
        found.append(story)

    write()
    return found


async def test_two_hundred_random_pipelines_go_as_foretold(headway):
    places = asyncio.Semaphore(AT_ONCE)

    async def play(story: Story) -> Counter[tuple[str, bool]]:
        async with places:
            return await Player(headway, story).play()

    tales = written()
    assert len(tales) == STORIES
    assert max(len(story.parts) for story in tales) > STAGES_MAX // 2
    async with asyncio.TaskGroup() as tasks:
        played = [tasks.create_task(play(story)) for story in tales]
    met = sum((each.result() for each in played), Counter())
    assert {verb for verb, _ in met} == set(VERBS)
    assert len({verb for verb, accepted in met if accepted}) > len(set(VERBS)) / 2
