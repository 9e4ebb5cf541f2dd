"""API processes and schedulers die and sleep; all are replaced."""

import asyncio
import signal

from tests.chaos.campaign.fault import fault
from tests.chaos.campaign.load import Load
from tests.chaos.campaign.world import World
from tests.support.installation import TIMINGS

LEASE_S, SWEEP_S = float(TIMINGS["lease_timeout_s"]), float(TIMINGS["sweep_interval_s"])
EXITS = {0, -signal.SIGTERM}
EXIT_S = float(TIMINGS["drain_timeout_s"]) + 1


@fault(6)
async def kill_apis(world: World, load: Load) -> int:
    """API processes are killed while they answer."""
    for _ in range(8):
        load.send(load.shape())
        await asyncio.sleep(world.rng.uniform(0, 0.02))
        world.kill(world.one("api"))
        await asyncio.sleep(0.4)
    return 8


@fault(7)
async def kill_schedulers(world: World, load: Load) -> int:
    """A scheduler is killed, then all of them, and for a while there is none."""
    world.kill(world.one("scheduler"))
    await asyncio.sleep(1)
    with world.without("scheduler"):
        for process in world.living("scheduler"):
            world.kill(process)
        await asyncio.sleep(3)
    await world.probe(load, "a pipeline after all schedulers were away", 6)
    return 2


@fault(8)
async def suspend_a_scheduler(world: World, load: Load) -> int:
    """One of two schedulers sleeps for two leases; the other carries on."""
    asleep = world.one("scheduler")
    asleep.send(signal.SIGSTOP)
    await world.probe(load, "a pipeline while a scheduler sleeps", 3)
    await asyncio.sleep(2 * LEASE_S)
    asleep.send(signal.SIGCONT)
    return 1


@fault(9)
async def suspend_schedulers_in_turn(world: World, _load: Load) -> int:
    """Schedulers fall asleep in the middle of whatever they do, in turn, and go on where they were."""
    for turn in range(24):
        asleep = world.living("scheduler")[turn % 2]
        asleep.send(signal.SIGSTOP)
        await asyncio.sleep(world.rng.uniform(0.02, 2.5 * SWEEP_S if turn % 6 == 0 else 0.2))
        asleep.send(signal.SIGCONT)
        await asyncio.sleep(world.rng.uniform(0, 0.1))
    return 24


@fault(36, keeps_attempts=True, alone=True)
async def replace_everybody(world: World, _load: Load) -> int:
    """A rolling deploy: every process is asked to leave, in turn, when its successor is there."""
    old = [process for role in ("scheduler", "api", "worker") for process in world.living(role)]
    for process in old:
        world.crew[process.role] += 1
        await asyncio.sleep(0.2)
        await world.ready()
        world.crew[process.role] -= 1
        process.send(signal.SIGTERM)
        began = asyncio.get_running_loop().time()
        code = await process.ended()
        world.recovered(f"the exit of a {process.role}", asyncio.get_running_loop().time() - began, EXIT_S)
        if code not in EXITS:
            world.wrong.append(("ended_wrong", f"{process.name} ended with {code}"))
    return len(old)
