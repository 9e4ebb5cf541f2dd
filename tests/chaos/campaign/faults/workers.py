"""Workers die, sleep, and block."""

import asyncio
import signal
from datetime import UTC, datetime

from tests.chaos.campaign.fault import fault
from tests.chaos.campaign.load import Load
from tests.chaos.campaign.world import World
from tests.support.installation import TIMINGS
from tests.support.processes import Watched, below, until

LEASE_S = float(TIMINGS["lease_timeout_s"])
LONG_S = 3
INLINE = 90
ORPHANS_WITHIN_S = 2


@fault(1)
async def kill_workers(world: World, _load: Load) -> int:
    """Workers are killed while they run stages."""
    for _ in range(3):
        world.kill(await world.busy_worker())
        await asyncio.sleep(1.5)
    return 3


@fault(2)
async def leave_children(world: World, load: Load) -> int:
    """A worker is killed, and none of its processes may outlive it."""
    job = load.send([load.command(f"s{n}", does=f"[ $HEADWAY_ATTEMPT -gt 1 ] || sleep {LONG_S}") for n in range(4)])
    await until(lambda: job.uuid, "it is not accepted")
    worker = await world.busy_worker(job.uuid)
    await until(lambda: len(below(worker.pid)) >= 2, "the worker has no processes")
    children = Watched(below(worker.pid))
    world.kill(worker)
    try:
        await children.gone(ORPHANS_WITHIN_S)
    except AssertionError as error:
        world.wrong.append(("late", f"orphans of a killed worker: {error}"))
    return len(children.processes)


@fault(4)
async def wake_zombies(world: World, load: Load) -> int:
    """A worker sleeps for two leases, and comes back with outcomes that nobody waits for."""
    slow = f"if [ $HEADWAY_ATTEMPT -gt 1 ]; then sleep {1.4 * LEASE_S}; else sleep 1; fi"
    inline = [load.witness(f"i{n}", sleep_s=LEASE_S / 2) for n in range(INLINE)]
    job = load.send([*(load.command(f"s{n}", does=slow) for n in range(9)), *inline])
    await until(lambda: job.uuid, "it is not accepted")
    await asyncio.sleep(0.5)
    zombie = await world.busy_worker()
    zombie.send(signal.SIGSTOP)
    world.killed_at[zombie.pid] = datetime.now(UTC)
    await asyncio.sleep(2 * LEASE_S)
    zombie.send(signal.SIGCONT)
    await zombie.ended()
    return sum(len(line["stages"]) for line in zombie.said("outcomes_came_too_late"))


@fault(5)
async def block_a_loop(world: World, load: Load) -> int:
    """The event loop of a worker is blocked for two leases."""
    job = load.send([load.witness("blocks", block_s=2 * LEASE_S)])
    await load.ended(job, 4 * LEASE_S)
    silent = [process for process in world.installation.processes if "loop is blocked" in process.log.read_text()]
    return len(silent)
