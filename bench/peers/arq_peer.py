"""The same amounts of work on plain arq, which knows neither dependencies nor pipelines: an upper bound of its rate.

A job of a chain enqueues the next one itself; a fan and diamonds are as many no-op jobs as those shapes have stages.
Each is measured from the first enqueue to the end of the last job, which a counter in Valkey tells.

Usage: ``arq_peer.py`` with the path of Valkey's unix socket in ``VALKEY_SOCKET``. It speaks with ``bench`` as
``celery_peer.py`` does. Nothing of Headway is imported.

The settings: as many jobs at once as Headway's inline slots, a poll every 10 ms instead of 500, and no
results kept.
"""

import asyncio
import json
import os
import sys
import time
from importlib.metadata import version
from typing import Any

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.worker import Worker, func

SETTINGS = {"max_jobs": 100, "poll_delay": 0.01, "keep_result": 0}
TIMEOUT_S = 300
COUNTS = {"fan-1000": 1_002, "diamonds-250": 1_000, "diamonds-2500": 10_000}
CHAINS = {"chain-100": ("noop", 100), "light-40": ("fibonacci", 40)}
DONE, LEFT = "bench:done", "bench:left"
AT_ONCE = 500

redis_settings = RedisSettings(unix_socket_path=os.environ["VALKEY_SOCKET"], database=5)


async def noop(ctx: dict[str, Any], left: int = 0) -> None:
    """Do nothing, and go on with the chain."""
    await go_on(ctx, "noop", left)


async def fibonacci(ctx: dict[str, Any], left: int = 0) -> None:
    """The light task of the public benchmark."""
    _fibonacci(10)
    await go_on(ctx, "fibonacci", left)


def _fibonacci(n: int) -> int:
    return n if n <= 1 else _fibonacci(n - 1) + _fibonacci(n - 2)


async def go_on(ctx: dict[str, Any], name: str, left: int) -> None:
    """Enqueue the next job of a chain, or count this one; who counts the last says so."""
    redis: ArqRedis = ctx["redis"]
    if left > 1:
        await redis.enqueue_job(name, left - 1)
    elif await redis.decr(LEFT) == 0:
        await redis.zadd(DONE, {"done": 0})


async def seconds(redis: ArqRedis, workload: str) -> float:
    """Run a workload to the end of its last job."""
    started = time.perf_counter()
    if workload in CHAINS:
        name, length = CHAINS[workload]
        await redis.set(LEFT, 1)
        await redis.enqueue_job(name, length)
    else:
        count = COUNTS[workload]
        await redis.set(LEFT, count)
        for first in range(0, count, AT_ONCE):
            await asyncio.gather(*(redis.enqueue_job("noop") for _ in range(min(AT_ONCE, count - first))))
    if await redis.bzpopmin([DONE], TIMEOUT_S) is None:
        raise TimeoutError(workload)
    return time.perf_counter() - started


async def serve() -> None:
    """Answer until stdin ends, beside a worker in a process of its own."""
    worker = await asyncio.create_subprocess_exec(sys.executable, __file__, "worker")
    redis = await create_pool(redis_settings)
    try:
        await seconds(redis, "light-40")
        versions = {package: version(package) for package in ("arq", "redis")}
        print(json.dumps({"versions": versions, "settings": SETTINGS}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(await seconds(redis, line.strip()), flush=True)
    finally:
        worker.terminate()
        await worker.wait()
        await redis.aclose(close_connection_pool=True)


def work() -> None:
    """Be the worker."""
    functions = [func(noop, name="noop"), func(fibonacci, name="fibonacci")]
    Worker(functions, redis_settings=redis_settings, **SETTINGS).run()  # type: ignore[arg-type]


if __name__ == "__main__":
    if sys.argv[1:] == ["worker"]:
        work()
    else:
        asyncio.run(serve())
