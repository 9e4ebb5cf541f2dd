"""What ``headway doctor`` looks at, one function each; every answer says what to do unless all is well."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from app.commands.running import Running, open_client
from app.db import server
from app.db.migrate import pending
from app.db.pool import Pool, connection, open_pool
from app.errors import HeadwayError, SetupError
from app.queue import REDIS_AWAY, open_redis, require_noeviction
from app.services import workers
from app.settings import Settings
from schemas.task import BUILT_IN_TASKS

TIMEOUT_S = 5.0
"""Of each check that asks a server: a frozen one answers nothing, not even a refusal."""
CLOCK_DIFFERENCE_MAX_S = 1.0
FREE_BYTES_MIN = 1024**3


class Check(Struct):
    """One thing that was looked at; ``advice`` says what to do unless it is ok."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    advice: str = ""


def python() -> Check:
    """Which Python runs this."""
    return Check("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def data_dir(settings: Settings) -> Check:
    """Whether data can be written, and how much."""
    path = settings.data_dir.resolve()
    there = next(place for place in (path, *path.parents) if os.path.lexists(place))
    if not os.access(there, os.W_OK | os.X_OK):
        return Check("data dir", "fail", f"{there} cannot be written", "Choose another one with HEADWAY_DATA_DIR.")
    free = shutil.disk_usage(there).free
    detail = f"{path}, {free / 1024**3:.1f} GiB free"
    if free < FREE_BYTES_MIN:
        return Check("data dir", "warn", detail, "Checkpoints need room: free some space.")
    return Check("data dir", "ok", detail)


def up(settings: Settings, running: Running | None) -> Check:
    """Whether a 'headway up' runs on the data directory."""
    if running:
        return Check("up", "ok", f"runs with pid {running.pids.get('up')}")
    if settings.database_url and settings.redis_url:
        return Check("up", "ok", "not running here; the servers are given by URL")
    return Check("up", "warn", f"no 'headway up' runs on {settings.data_dir}", "Start it: headway up")


def tasks(settings: Settings) -> Check:
    """Whether the users' own tasks plug in."""
    from workers.plug_ins import known_tasks  # noqa: PLC0415 - imports what users wrote

    try:
        with redirect_stdout(sys.stderr):  # what they print is not the doctor's answer
            known = known_tasks(settings.task_modules)
    except SetupError as error:
        return Check("tasks", "fail", error.detail, "Correct them, or take them out of HEADWAY_TASK_MODULES.")
    plug_ins = sorted(known.keys() - BUILT_IN_TASKS)
    return Check("tasks", "ok", ", ".join(["all built-in ones", *plug_ins]))


async def servers(urls: dict[str, str], settings: Settings) -> AsyncIterator[Check]:
    """Postgres and Redis, and through Postgres whoever works with it."""
    if "database" in urls:
        async for check in _database(urls["database"], settings):
            yield check
    else:
        yield Check("postgres", "fail", "nowhere to be found", "Start 'headway up', or set HEADWAY_DATABASE_URL.")
    if "redis" in urls:
        yield await _checked("redis", _redis(urls["redis"]))
    else:
        yield Check("redis", "fail", "nowhere to be found", "Start 'headway up', or set HEADWAY_REDIS_URL.")


async def _database(url: str, settings: Settings) -> AsyncIterator[Check]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            pool = await open_pool(url, max_size=2, prepared_statements=settings.database_prepared_statements)
    except TimeoutError:
        yield _silent("postgres")
        return
    except HeadwayError as error:
        yield Check("postgres", "fail", error.detail, "Is it running, and is HEADWAY_DATABASE_URL right?")
        return
    try:
        for name, look in {
            "postgres": _postgres,
            "clock": _clock,
            "migrations": _migrations,
            "scheduler": _scheduler,
            "workers": _workers,
        }.items():
            yield await _checked(name, look(pool))
    finally:
        pool.terminate()


async def _checked(name: str, check: Awaitable[Check]) -> Check:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await check
    except TimeoutError:
        return _silent(name)
    except HeadwayError as error:
        return Check(name, "fail", error.detail, "See the detail.")


def _silent(name: str) -> Check:
    return Check(name, "fail", f"no answer within {TIMEOUT_S:g} s", "Is the server frozen, overloaded or cut off?")


async def _postgres(pool: Pool) -> Check:
    async with connection(pool) as c:
        facts = await server.facts(c)
    await workers.require_durability(pool)
    return Check("postgres", "ok", f"{facts.version}; what it accepts survives a crash")


async def _clock(pool: Pool) -> Check:
    async with connection(pool) as c:
        before = datetime.now(UTC)
        facts = await server.facts(c)
        middle = before + (datetime.now(UTC) - before) / 2
    difference_s = (facts.clock - middle).total_seconds()
    detail = f"{difference_s:+.3f} s from Postgres"
    if abs(difference_s) > CLOCK_DIFFERENCE_MAX_S:
        return Check(
            "clock", "warn", detail, "Only Postgres' clock decides anything, but times shown will mislead: use NTP."
        )
    return Check("clock", "ok", detail)


async def _migrations(pool: Pool) -> Check:
    if missing := await pending(pool):
        return Check("migrations", "fail", f"missing: {', '.join(missing)}", "Run: headway migrate")
    return Check("migrations", "ok", "all applied")


async def _scheduler(pool: Pool) -> Check:
    _, schedulers = await workers.alive(pool)
    if not schedulers:
        return Check("scheduler", "fail", "none has been seen lately", "Start one: headway scheduler")
    return Check("scheduler", "ok", f"{schedulers} alive")


async def _workers(pool: Pool) -> Check:
    alive, _ = await workers.alive(pool)
    if not alive:
        return Check("workers", "fail", "none holds a lease", "Start one: headway worker")
    return Check("workers", "ok", f"{alive} alive")


async def _redis(url: str) -> Check:
    redis = open_redis(url)
    try:
        version = (await redis.info("server"))["redis_version"]
        await require_noeviction(redis)
        persistence = await redis.info("persistence")
    except SetupError as error:
        return Check("redis", "fail", error.detail, "Set it in its configuration and restart it.")
    except REDIS_AWAY as error:
        return Check("redis", "fail", f"does not answer: {error}", "Is it running, and is HEADWAY_REDIS_URL right?")
    finally:
        await redis.aclose(close_connection_pool=True)
    detail = f"speaks Redis {version}; evicts nothing"
    if not persistence.get("aof_enabled"):
        return Check(
            "redis", "warn", f"{detail}; keeps no append-only file", "A restart costs seconds: set appendonly yes."
        )
    return Check("redis", "ok", f"{detail}; append-only file is on")


async def api(settings: Settings) -> Check:
    """Whether the API answers, and what it says of itself."""
    try:
        async with open_client(settings) as client:
            answer = await client.ready()
    except HeadwayError as error:
        return Check("api", "fail", error.detail, "Start it: headway up, or headway api")
    checks = answer.get("checks", {})
    wrong = ", ".join(f"{name}: {outcome}" for name, outcome in checks.items() if outcome != "ok")
    if answer.get("status") == "ready":
        return Check("api", "ok", f"ready at {client.url}")
    return Check(
        "api", "warn" if answer.get("status") == "degraded" else "fail", wrong or "not ready", "See the others."
    )
