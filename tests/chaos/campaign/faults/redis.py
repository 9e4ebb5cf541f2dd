"""Redis is emptied, killed, frozen, full, cut off, and filled with lies."""

import asyncio
import pickle
import random
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis import RedisError

from tests.chaos.campaign.fault import fault
from tests.chaos.campaign.load import Load
from tests.chaos.campaign.world import World
from tests.support.processes import until

RESUME_S = 6.0
"""How long a small pipeline may take that is submitted when Redis is back."""
CREATE_S = 2.0
"""How long a create call may take that cannot reach Redis."""
LANES = "headway:queue:*"
HUGE = 10 * 1024 * 1024


@fault(10)
async def empty_redis(world: World, _load: Load) -> int:
    """Redis is emptied again and again."""
    with world.redis() as redis:
        for turn in range(60):
            redis.flushall()
            await asyncio.sleep(world.rng.uniform(0, 0.05) if turn % 10 else 0.5)
    return 60


@fault(11)
async def restart_redis(world: World, load: Load) -> int:
    """Redis is killed and comes back empty."""
    for _ in range(2):
        world.installation.lose_valkey()
        await asyncio.to_thread(world.installation.start_valkey)
        await world.probe(load, "a pipeline after a restart of Redis", RESUME_S)
    return 2


@fault(12)
async def stop_redis(world: World, load: Load) -> int:
    """Redis is away for two leases; the API accepts pipelines all the same."""
    world.installation.lose_valkey()
    before = len(load.jobs)
    await asyncio.sleep(6)
    during = load.jobs[before:]
    with suppress(AssertionError):
        await until(lambda: all(job.uuid for job in during), "", 5)
    await asyncio.to_thread(world.installation.start_valkey)
    for job in during:
        world.recovered("a create call without Redis", job.took_s if job.uuid else 10, CREATE_S)
    await world.probe(load, "a pipeline after an outage of Redis", RESUME_S)
    return len(during)


@fault(13)
async def freeze_redis(world: World, load: Load) -> int:
    """Redis stands still, and nobody waits for it."""
    process = world.installation.valkey.process
    process.send_signal(signal.SIGSTOP)
    before = len(load.jobs)
    await asyncio.sleep(4)
    during = load.jobs[before:]
    with suppress(AssertionError):
        await until(lambda: all(job.uuid for job in during), "", 5)
    process.send_signal(signal.SIGCONT)
    for job in during:
        world.recovered("a create call while Redis stands still", job.took_s if job.uuid else 10, CREATE_S)
    with world.redis() as redis:
        redis.execute_command("CLIENT", "PAUSE", "2000", "ALL")
    await asyncio.sleep(2)
    await world.probe(load, "a pipeline after a freeze of Redis", RESUME_S)
    return len(during)


@fault(14)
async def cut_redis_connections(world: World, load: Load) -> int:
    """The connections to Redis are cut, several times a second."""
    cut = 0
    for _ in range(25):
        with world.redis() as redis:
            cut += redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await asyncio.sleep(0.2)
    await world.probe(load, "a pipeline after cut connections", RESUME_S)
    return cut


@fault(15)
async def fill_redis(world: World, load: Load) -> int:
    """Redis is full, and takes nothing."""
    with world.redis() as redis:
        redis.config_set("maxmemory", 1)
        await asyncio.sleep(5)
        redis.config_set("maxmemory", 0)
    await world.probe(load, "a pipeline after Redis was full", RESUME_S)
    return 1


@fault(17)
async def mangle_jobs(world: World, _load: Load) -> int:
    """Jobs are lost, doubled, put in another order, and come back long after their time."""
    mangled, known = 0, {}
    with world.redis() as redis:
        for _ in range(120):
            for lane in redis.scan_iter(LANES):
                for job, score in redis.zrange(lane, 0, -1, withscores=True):
                    known[job] = lane, score
                    mangled += _mangle(redis, world.rng, lane, job)
            for job in world.rng.sample(sorted(known), min(3, len(known))):
                lane, score = known[job]
                redis.zadd(lane, {job: score})
                redis.zadd("headway:wake:" + lane.decode().removeprefix("headway:queue:"), {"wake": 0})
                mangled += 1
            await asyncio.sleep(0.05)
    return mangled


def _mangle(redis: Any, rng: random.Random, lane: bytes, job: bytes) -> int:
    """Lose a job, or move it; an eye blink is all that most of them stay, so many are missed."""
    act = rng.random()
    if act < 0.4:
        return int(redis.zrem(lane, job))
    return int(redis.zadd(lane, {job: rng.random() * 1e12}, xx=True, ch=True))


class Canary:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@fault(18)
async def poison_redis(world: World, load: Load) -> int:
    """Somebody writes garbage into Redis, pickles among it, and nobody may believe or unpickle it."""
    canary = world.directory / "canary"
    poison = [pickle.dumps(Canary(canary)), b"\xff\xfe garbage", b"", b"x" * HUGE, b'{"f": "no_such_function"}']
    with world.redis() as redis:
        for turn in range(15):
            bad = poison[turn % len(poison)]
            name = f"00000000-0000-0000-0000-{turn:012d}:1"
            for lane in ("default:inline", "default:process"):
                redis.set(f"arq:job:{name}", bad)
                with suppress(RedisError):
                    redis.zadd(f"headway:queue:{lane}", {name: turn, bad[:100] or b"-": turn})
                    redis.sadd("headway:lanes", bad[:100] or b"-")
            for stream in ("headway:completions", "headway:events", "headway:live"):
                redis.xadd(stream, {b"pipeline": bad[:5000], bad[:100] or b"-": bad[:5000]})
            await asyncio.sleep(0.2)
    await world.probe(load, "a pipeline after garbage", RESUME_S)
    if canary.exists():
        world.wrong.append(("ended_wrong", "what lay in Redis was unpickled"))
    return 15


@fault(41)
async def deafen_workers(world: World, load: Load) -> int:
    """Redis is restarted while every worker runs a long stage; none of them may be deaf afterwards."""
    long = load.send([load.witness(f"w{n}", sleep_s=8) for n in range(30)] + [load.command("c", sleep_s=8)])
    await until_running(world, long.key)
    world.installation.lose_valkey()
    await asyncio.sleep(2)
    await asyncio.to_thread(world.installation.start_valkey)
    await world.probe(load, "a short stage beside long ones after a restart of Redis", RESUME_S)
    return 1


async def until_running(world: World, key: str) -> None:
    """Wait until a pipeline has said something."""
    await until(lambda: f"\n{key} " in world.log.read_text(), f"{key} says nothing")
