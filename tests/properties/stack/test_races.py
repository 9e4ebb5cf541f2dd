"""Purges, pauses, cancels and retries race with the workers, and nothing is left in limbo."""

import asyncio
import random
from collections import Counter
from typing import Any
from uuid import UUID

from app.db.pool import open_pool
from schemas.states import PIPELINE_TERMINAL, STAGE_TERMINAL, PipelineStatus
from tests.properties.stack.play import is_accepted
from tests.support import invariants
from tests.support.installation import Headway, Installation
from tests.support.processes import until

ROUNDS = 200
AT_ONCE = 20
SEED = 20
NEEDS = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": (), "f": ("d", "e")}


def _stage(name: str, dice: random.Random) -> dict[str, Any]:
    return {
        "name": name,
        "task": "play_part",
        "depends_on": NEEDS[name],
        "params": {"fails": dice.choice([0, 0, 1, 3]), "sleep_s": dice.choice([0, 0.01, 0.05])},
        "trigger_rule": dice.choice(["all_completed", "all_done"]) if NEEDS[name] else "all_completed",
        "max_retries": 1,
        "retry_delay": 0,
    }


class Race:
    """One pipeline, and calls that come whenever they like."""

    def __init__(self, headway: Headway, dice: random.Random) -> None:
        self.headway = headway
        self.dice = dice
        self.met: Counter[str] = Counter()

    async def run(self) -> None:
        stages = [_stage(name, self.dice) for name in NEEDS]
        created = await self.headway.pipelines.create({"name": "race", "start": True, "stages": stages})
        tasks = list(created.stage_tasks.values())
        async with asyncio.TaskGroup() as callers:
            for _ in range(self.dice.randint(3, 8)):
                callers.create_task(self._call(created.uuid, self.dice.choice(tasks), self.dice.uniform(0, 0.4)))
        await self._let_end(created.uuid)

    async def _call(self, pipeline: UUID, task: UUID, after_s: float) -> None:
        pipelines, tasks, queues = self.headway.pipelines, self.headway.tasks, self.headway.queues
        name, call = self.dice.choice(
            [
                ("pause", lambda: pipelines.pause(pipeline)),
                ("resume", lambda: pipelines.resume(pipeline)),
                ("cancel", lambda: pipelines.cancel(pipeline)),
                ("retry", lambda: pipelines.retry(pipeline)),
                ("cancel_stage", lambda: tasks.cancel(task)),
                ("retry_stage", lambda: tasks.retry(task)),
                ("purge", tasks.purge),
                ("pause_queue", lambda: queues.pause("default")),
                ("resume_queue", lambda: queues.resume("default")),
            ]
        )
        await asyncio.sleep(after_s)
        self.met[name] += await is_accepted(call)

    async def _let_end(self, pipeline: UUID) -> None:
        """Take back whatever may hold it up, as often as somebody else's call does so again."""
        async with asyncio.timeout(60):
            while (now := await self.headway.get(pipeline)).status not in PIPELINE_TERMINAL:
                await self.headway.queues.resume("default")
                if now.status is PipelineStatus.PAUSED:
                    self.met["resume"] += await is_accepted(lambda: self.headway.pipelines.resume(pipeline))
                await asyncio.sleep(0.05)


async def test_whatever_races_with_the_workers_nothing_is_left_in_limbo(headway: Headway, installation: Installation):
    dice, places = random.Random(SEED), asyncio.Semaphore(AT_ONCE)

    async def run(race: Race) -> None:
        async with places:
            await race.run()

    races = [Race(headway, random.Random(dice.random())) for _ in range(ROUNDS)]
    async with asyncio.TaskGroup() as running:
        for race in races:
            running.create_task(run(race))

    await headway.queues.resume("default")  # whoever paused it last may have had nothing left to wait for
    met = sum((race.met for race in races), Counter())
    assert min(met.values()) > 3, met
    assert len(met) == 9
    states = await installation.query("SELECT DISTINCT status FROM stages")
    assert {row["status"] for row in states} <= STAGE_TERMINAL
    await until(lambda: installation.jobs_waiting() == 0, "jobs are left on the queues")

    async def slots_are_free() -> bool:
        workers = (await headway.workers()).items
        return all(worker.slots.inline.busy == 0 for worker in workers)

    await until(slots_are_free, "a worker still believes in a stage that has ended")
    async with await open_pool(installation.postgres.url, max_size=2) as pool:
        await invariants.hold(pool)
