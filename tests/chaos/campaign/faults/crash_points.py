"""Processes die on a line of their own choice: just before and just after everything that they commit or start."""

import asyncio
import os
from pathlib import Path

from tests.chaos.campaign.fault import fault
from tests.chaos.campaign.load import Load
from tests.chaos.campaign.world import World
from tests.support.processes import Process

STARTUP = Path(__file__).parents[1] / "startup"
ROOT = Path(__file__).parents[4]
EXIT = 86
AT_ONCE = 4
WITHIN_S = 30
POINTS = (
    ("worker", "app.services.stages:claim"),
    ("worker", "app.queue:JobQueue.claim"),
    ("worker", "workers.contract:prepare"),
    ("worker", "workers.executors.local:start"),
    ("worker", "app.services.stages:complete_to_worker"),
    ("worker", "app.queue:JobQueue.announce"),
    ("scheduler", "app.services.stages:release"),
    ("api", "app.api.idempotency:after_commit"),
)


@fault(3, alone=True)
async def die_at_each_commit(world: World, load: Load) -> int:
    """Processes die just before and just after each claim, spawn, write, completion, release and dispatch."""
    places = [
        (role, f"{when} {place} {1 if role == 'api' else world.rng.randint(2, 6)}")
        for role, place in POINTS
        for when in ("before", "after")
    ]
    world.rng.shuffle(places)
    reached = 0
    for first in range(0, len(places), AT_ONCE):
        dying = {at: _start(world, role, at) for role, at in places[first : first + AT_ONCE]}
        for at, process in dying.items():
            reached += await _reaches(world, load, at, process)
    return reached


def _start(world: World, role: str, at: str) -> Process:
    path = os.pathsep.join((str(STARTUP), str(ROOT)))
    with world.environment(CRASH_AT=at, PYTHONPATH=path):
        return world.start(role)


async def _reaches(world: World, load: Load, at: str, process: Process) -> int:
    """Give it work until it has died where it should."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + WITHIN_S
    while process.is_running and loop.time() < give_up_at:
        load.send([load.command("a"), load.witness("b", "a"), load.command("c", "b")])
        if process.role == "api":
            await load.reconnect()
        await asyncio.sleep(0.3)
    if not process.is_running and process.program.returncode == EXIT:
        return 1
    world.wrong.append(("void", f"no process died {at}: {process.program.returncode}"))
    return 0
