"""The process roles: what ``headway up`` starts as its children, and what production starts as its services."""

import asyncio
import gc
import signal
import socket
from typing import Annotated

import uvloop
from cyclopts import Parameter

from app import log
from app.commands import exits
from app.commands.running import with_servers
from app.commands.terminal import print_line
from app.settings import Settings, load_settings


def api(
    *,
    host: str | None = None,
    port: int | None = None,
    fd: Annotated[int | None, Parameter(show=False)] = None,
) -> int:
    """Serve the HTTP API until SIGTERM or SIGINT.

    Args:
        host: Address to listen on; HEADWAY_HOST, default 127.0.0.1. Another one needs HEADWAY_API_TOKEN.
        port: Port to listen on; HEADWAY_PORT, default 8700.
        fd: A socket that listens already, inherited.

    """
    from app.asgi import Server  # noqa: PLC0415 - the other roles need not pay for it

    server = Server(_ready(load_settings(host=host, port=port)))
    _keep_for_good()
    server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])
    return exits.COMPLETED if server.started else exits.FAILED


def scheduler() -> int:
    """Release and dispatch stages until SIGTERM or SIGINT."""
    return uvloop.run(_schedule(_ready(load_settings())))


async def _schedule(settings: Settings) -> int:
    from app.scheduler.loop import run  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _keep_for_good()
    await run(settings, stop)
    return exits.COMPLETED


def worker(*, queues: str | None = None, concurrency: int | None = None) -> int:
    """Run stages until SIGTERM or SIGINT, then drain: let them finish or write a checkpoint.

    Args:
        queues: Serve only these, comma-separated; HEADWAY_WORKER_QUEUES, default all.
        concurrency: How many stages with a process of their own run at once; HEADWAY_WORKER_CONCURRENCY.

    """
    from workers.worker import run  # noqa: PLC0415

    _keep_for_good()
    return uvloop.run(run(_ready(load_settings(worker_queues=queues, worker_concurrency=concurrency))))


async def migrate() -> int:
    """Bring the database up to date; safe to call from many hosts at once."""
    from app.db.migrate import migrate as apply  # noqa: PLC0415

    settings = with_servers(load_settings())
    assert settings.database_url is not None  # with_servers has seen to it
    applied = await apply(settings.database_url.get_secret_value())
    for name in applied:
        print_line(name)
    return exits.COMPLETED


def _ready(settings: Settings) -> Settings:
    log.configure(settings.log_format, settings.log_level)
    return with_servers(settings)


def _keep_for_good() -> None:
    """Spare what is loaded by now the garbage collector, which would stop all work for 30 to 60 ms to look at it."""
    gc.collect()
    gc.freeze()
