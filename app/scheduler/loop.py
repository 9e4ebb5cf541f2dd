"""The one loop that drives all duties: run once, say what was done, wait, again; an outage is waited out."""

import asyncio
import os
import random
from contextlib import suppress
from typing import Protocol
from uuid import UUID, uuid4

import structlog

from app.db.pool import Pool, open_pool
from app.errors import SetupError, Unavailable
from app.log import told
from app.queue import REDIS_AWAY, JobQueue, open_redis, require_noeviction
from app.scheduler.completions import Completions
from app.scheduler.dispatcher import Dispatcher
from app.scheduler.pruner import Pruner
from app.scheduler.releaser import Releaser
from app.scheduler.rescuer import Rescuer
from app.scheduler.retrier import Retrier
from app.scheduler.rollup import RollUp
from app.scheduler.schedules import Schedules
from app.services import workers
from app.settings import Settings

OUTAGE_PAUSE_S = 0.5
PRUNE_INTERVAL_S = 60.0
log = structlog.get_logger()


class Duty(Protocol):
    """Something to do again and again."""

    async def run_once(self) -> int:
        """Do it once; return how much there was to do."""
        ...


class Presence:
    """Says in Postgres that this scheduler lives, for readiness checks and people."""

    def __init__(self, pool: Pool, scheduler: UUID) -> None:
        self.pool = pool
        self.scheduler = scheduler

    async def run_once(self) -> int:
        """Beat."""
        await workers.scheduler_beat(self.pool, self.scheduler, workers.name_of(os.getpid()))
        return 0

    async def leave(self) -> None:
        """Say that it has ended; if Postgres is away, that shows in a moment all the same."""
        with suppress(Unavailable):
            await workers.scheduler_leave(self.pool, self.scheduler)


async def drive(duty: Duty, interval_s: float, stop: asyncio.Event) -> None:
    """Run a duty every ``interval_s``, jittered so that several schedulers drift apart, until ``stop``.

    An outage of a server is logged once and waited out. Anything else is a bug: it is logged with its traceback, and
    the duty goes on, because a scheduler that has given up helps nobody.
    """
    name, away = type(duty).__name__.lower(), False
    while not stop.is_set():
        pause_s = interval_s * random.uniform(0.8, 1.2)
        try:
            done = await duty.run_once()
        except (Unavailable, *REDIS_AWAY) as error:
            pause_s = max(pause_s, OUTAGE_PAUSE_S)
            if not away:
                log.warning("duty_waits_for_a_server", duty=name, error=told(error))
            away = True
        except Exception:
            pause_s = max(pause_s, OUTAGE_PAUSE_S)
            log.exception("duty_failed", duty=name)
        else:
            if away:
                log.info("duty_goes_on", duty=name)
            if done:
                log.debug("duty_done", duty=name, count=done)
            away = False
        if pause_s:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Be a scheduler until ``stop``.

    Raises:
        SetupError: no server URLs, or a Redis that evicts jobs.
        Unavailable: Postgres cannot be reached at the start.

    """
    if settings.database_url is None or settings.redis_url is None:
        raise SetupError("The scheduler needs HEADWAY_DATABASE_URL and HEADWAY_REDIS_URL.")
    pool = await open_pool(
        settings.database_url.get_secret_value(),
        max_size=settings.database_pool_max,
        prepared_statements=settings.database_prepared_statements,
    )
    redis = open_redis(settings.redis_url.get_secret_value())
    try:
        await workers.require_durability(pool)
        with suppress(*REDIS_AWAY):
            await require_noeviction(redis)
        await _work(settings, stop, pool, JobQueue(redis, settings.redis_prefix))
    finally:
        await redis.aclose(close_connection_pool=True)
        pool.terminate()


async def _work(settings: Settings, stop: asyncio.Event, pool: Pool, queue: JobQueue) -> None:
    sweep_s = settings.sweep_interval_s
    releaser = Releaser(pool, queue)
    rescuer = Rescuer(releaser, lease_timeout_s=settings.lease_timeout_s, interval_s=sweep_s)
    presence = Presence(pool, uuid4())
    duties: list[tuple[Duty, float]] = [
        (Completions(queue, releaser), 0),
        (releaser, sweep_s),
        (Dispatcher(pool, queue), sweep_s),
        (Retrier(releaser), min(1, sweep_s)),
        (Schedules(pool, queue, stages_max=settings.stages_max), min(1, sweep_s)),
        (rescuer, sweep_s),
        (Pruner(pool), PRUNE_INTERVAL_S),
        (RollUp(pool), sweep_s),
        (presence, sweep_s),
    ]
    tasks = [asyncio.create_task(drive(duty, interval_s, stop)) for duty, interval_s in duties]
    log.info("scheduler_started", duties=[type(duty).__name__.lower() for duty, _ in duties])
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await presence.leave()
    log.info("scheduler_stopped")
