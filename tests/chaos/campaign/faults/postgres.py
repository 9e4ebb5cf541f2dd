"""Postgres crashes, stands still, loses its sessions, and its answers get lost."""

import asyncio
import os
import signal
from contextlib import suppress

import asyncpg

from tests.chaos.campaign.fault import fault
from tests.chaos.campaign.load import Load
from tests.chaos.campaign.world import World
from tests.chaos.proxy import wire
from tests.support.installation import TIMINGS
from tests.support.processes import below, until

BACK_S = 5.0
"""How long after Postgres the API may come back."""
TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM (
    SELECT pid FROM pg_stat_activity WHERE application_name = 'headway' ORDER BY random() LIMIT 4) AS victims"""
LOCK = "SELECT id FROM pipelines WHERE status = 'running' ORDER BY random() LIMIT 3 FOR UPDATE"
LOST_SHARE = 0.03
LOST_MIN = 20


@fault(19)
async def crash_postgres(world: World, _load: Load) -> int:
    """Postgres crashes and recovers, again and again."""
    for _ in range(3):
        world.installation.crash_postgres()
        await asyncio.sleep(world.rng.uniform(0, 2))
        await asyncio.to_thread(world.installation.start_postgres)
        await world.answers_again("the API after a crash of Postgres", BACK_S)
        await asyncio.sleep(world.rng.uniform(0.5, 2))
    return 3


@fault(20)
async def terminate_sessions(world: World, _load: Load) -> int:
    """The sessions of Postgres are terminated, five times a second."""
    ended = 0
    for _ in range(25):
        ended += await world.installation.value(TERMINATE)
        await asyncio.sleep(0.2)
    await world.answers_again("the API after terminated sessions", BACK_S)
    return ended


@fault(21, alone=True)
async def lose_answers(world: World, _load: Load) -> int:
    """Postgres commits, and its answer is lost: the connection is cut between the two."""
    directory = world.directory / "wire"
    directory.mkdir(exist_ok=True)
    async with wire(world.installation.postgres.url, directory) as proxy:
        started = [world.start(role, database_url=proxy.url) for role in ("api", "scheduler", "worker", "worker")]
        await until(lambda: all("started" in each.log.read_text() for each in started[1:]), "they do not start")
        with world.without("api", "scheduler", "worker"):
            for role in ("api", "scheduler", "worker"):
                for process in world.living(role):
                    process.kill()
            proxy.lose_answers(LOST_SHARE, world.rng)
            await until(lambda: proxy.lost >= LOST_MIN, f"only {proxy.lost} answers were lost", 20)
            proxy.lose_answers(0, world.rng)
            await world.heal()
    return proxy.lost


@fault(22, alone=True)
async def freeze_postgres(world: World, _load: Load) -> int:
    """Postgres stands still for longer than a lease."""
    postmaster = world.installation.postgres.pid
    frozen = [postmaster, *below(postmaster)]
    for pid in frozen:
        _signal(pid, signal.SIGSTOP)
    await asyncio.sleep(float(TIMINGS["lease_timeout_s"]) + 1)
    for pid in frozen:
        _signal(pid, signal.SIGCONT)
    await world.answers_again("the API after a freeze of Postgres", BACK_S)
    return 1


@fault(24)
async def hold_locks(world: World, _load: Load) -> int:
    """Somebody holds the locks of running pipelines for longer than anybody waits for them."""
    held = 0
    for _ in range(3):
        connection = await asyncpg.connect(world.installation.postgres.url)
        async with connection.transaction():
            held += len(await connection.fetch(LOCK))
            await asyncio.sleep(2.5)
        await connection.close()
    return held


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
