"""The composition root of the API process: settings in, application out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from socket import socket

import uvicorn
from litestar import Litestar
from litestar.datastructures import State

from app.api import (
    auth,
    bulk,
    checkpoints,
    docs,
    events,
    health,
    openapi,
    pipelines,
    problems,
    queues,
    schedules,
    task_types,
    tasks,
    templates,
)
from app.api.failures import list_failures
from app.api.observe import observed
from app.api.periodic_tasks import list_periodic_tasks
from app.api.query import require_known_query
from app.api.workers import list_workers
from app.broadcast import Broadcaster
from app.db.migrate import pending
from app.db.pool import Pool, open_pool
from app.errors import SetupError
from app.queue import REDIS_AWAY, JobQueue, open_redis
from app.services import workers
from app.settings import Settings

HEARTBEAT_S = 15.0
REDIS_PATIENCE_S = 1.0
"""How long the start waits for Redis; without it the API accepts pipelines all the same."""
GRACE_S = 5
"""How long requests may take to end when the server stops; event streams end at once."""


def create_app(settings: Settings) -> Litestar:
    """Build the application; its lifespan opens what it needs and closes it again.

    Raises:
        SetupError: it would serve other machines without a token, or has no servers to work with.

    """
    auth.require_token_or_loopback(settings)
    _urls(settings)
    app = Litestar(
        [
            pipelines.router,
            tasks.router,
            bulk.router,
            queues.router,
            checkpoints.router,
            templates.router,
            schedules.router,
            list_workers,
            list_failures,
            list_periodic_tasks,
            events.stream_all_events,
            task_types.list_task_types,
            health.livez,
            health.readyz,
            health.metrics,
            problems.problem_type,
            docs.root,
            docs.docs,
        ],
        lifespan=[_lifespan],
        state=State({"settings": settings, "heartbeat_s": HEARTBEAT_S}),
        guards=[auth.authorise],
        before_request=require_known_query,
        exception_handlers={Exception: problems.problem_response},
        request_max_body_size=settings.body_bytes_max,
        openapi_config=openapi.config(),
        logging_config=None,
    )
    app.asgi_handler = observed(app.asgi_handler)  # around the router, to see also what it refuses
    return app


def _urls(settings: Settings) -> tuple[str, str]:
    if settings.database_url is None or settings.redis_url is None:
        raise SetupError("The API needs HEADWAY_DATABASE_URL and HEADWAY_REDIS_URL; 'headway up' brings its own.")
    return settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()


@asynccontextmanager
async def _lifespan(app: Litestar) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    database_url, redis_url = _urls(settings)
    pool = await open_pool(
        database_url,
        max_size=settings.database_pool_max,
        prepared_statements=settings.database_prepared_statements,
    )
    redis, listener = open_redis(redis_url), open_redis(redis_url, blocking=True)
    queue, broadcaster = JobQueue(redis, settings.redis_prefix), Broadcaster(pool, listener, settings.redis_prefix)
    broadcasting = asyncio.create_task(broadcaster.run())
    checks = {
        "postgres": partial(_postgres, pool),
        "streams": partial(_streams, broadcasting),
        "redis": partial(_redis, queue),
        "scheduler": partial(_scheduler, pool),
    }
    app.state.update({"pool": pool, "queue": queue, "broadcaster": broadcaster, "checks": checks})
    with suppress(*REDIS_AWAY):
        async with asyncio.timeout(REDIS_PATIENCE_S):
            await queue.prepare()
    try:
        yield
    finally:
        broadcasting.cancel()
        await asyncio.wait([broadcasting])
        await listener.aclose(close_connection_pool=True)
        await redis.aclose(close_connection_pool=True)
        await pool.close()


async def _postgres(pool: Pool) -> str | None:
    missing = await pending(pool)
    return f"migrations are missing: {', '.join(missing)}" if missing else None


async def _streams(broadcasting: asyncio.Task[None]) -> str | None:
    return "the reader of events has stopped; restart this process" if broadcasting.done() else None


async def _redis(queue: JobQueue) -> str | None:
    await queue.redis.ping()
    return None


async def _scheduler(pool: Pool) -> str | None:
    _, schedulers = await workers.alive(pool)
    return None if schedulers else "none has been seen lately"


class Server(uvicorn.Server):
    """The API as a server: ``serve()`` runs it until a signal comes or ``should_exit`` is set.

    Raises:
        SetupError: as ``create_app``.

    """

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        config = uvicorn.Config(
            self.app,
            host=settings.host,
            port=settings.port,
            lifespan="on",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """End the event streams first: uvicorn would wait for them."""
        self.app.state.broadcaster.close()
        await super().shutdown(sockets)
