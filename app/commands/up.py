"""``headway up``: everything on this machine, until Ctrl-C."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from app import log
from app.commands import exits, hints
from app.commands.running import DataDir
from app.commands.stack import Stack
from app.commands.terminal import clean, print_line
from app.settings import Settings, load_settings


async def up(*, data_dir: DataDir = None, host: str | None = None, port: int | None = None) -> int:
    """Run everything here: Postgres, Valkey, API, scheduler and a worker. Ctrl-C drains, a second one hurries.

    HEADWAY_DATABASE_URL and HEADWAY_REDIS_URL point at servers of your own; those are not started then.

    Args:
        data_dir: Where all data lies; HEADWAY_DATA_DIR, default ./.headway.
        host: Address of the API; HEADWAY_HOST, default 127.0.0.1. Another one needs HEADWAY_API_TOKEN.
        port: Port of the API; HEADWAY_PORT, default 8700. 0 takes a free one.

    """
    settings = load_settings(data_dir=data_dir, host=host, port=port)

    async def stay(stack: Stack) -> int:
        print_line(banner(stack))
        await asyncio.Event().wait()
        return exits.COMPLETED

    return await with_stack(settings, stay, interrupted=exits.COMPLETED)


async def with_stack(settings: Settings, work: Callable[[Stack], Awaitable[int]], *, interrupted: int) -> int:
    """Start everything, do ``work``, stop everything; a signal ends the work early with the code ``interrupted``."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, lambda: hurry.set() if stop.is_set() else stop.set())
    log.configure(settings.log_format, "warning")
    stack = Stack(settings, say, hurry)

    async def whole() -> int:
        say("starting …")
        await stack.start()
        return await work(stack)

    working, stopped = asyncio.ensure_future(whole()), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        half_s = settings.drain_timeout_s / 2
        say(
            f"stopping: running stages have {half_s:g} s to finish, then {half_s:g} s to checkpoint and leave; "
            "Ctrl-C again to stop them now"
        )
        return interrupted
    finally:
        stop.set()
        for task in (working, stopped):
            task.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)
        await stack.stop()


def say(text: str) -> None:
    """Tell the person at the terminal, if there is still one: a full disk or a closed terminal ends nothing."""
    with suppress(OSError):
        print(f"headway: {clean(text)}", file=sys.stderr, flush=True)  # noqa: T201


def banner(stack: Stack) -> str:
    """Write where everything is and what to do next."""
    command = hints.command(stack.settings)
    return f"""Headway is ready at {stack.url}

  data    {stack.data_dir}
  logs    {stack.data_dir}/logs
  docs    {stack.url}/docs
  submit  {command} submit {hints.example()} --watch
  check   {command} doctor
  stop    Ctrl-C
"""
