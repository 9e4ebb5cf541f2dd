"""All that ``headway up`` runs: servers, API, scheduler, worker; started in order, watched, stopped in order."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, BinaryIO

from app.client import Client, Unreachable
from app.commands.child import Child, Say
from app.commands.running import FILE, Running, address, write
from app.db.migrate import migrate
from app.db.pool import Pool, open_pool
from app.embedded import EmbeddedServer, start_postgres, start_valkey
from app.embedded.directory import lock, release
from app.embedded.server import tail
from app.errors import SetupError
from app.services import workers
from app.settings import Settings

HEALTHY_TIMEOUT_S = 60.0
QUICK_DEATHS_MAX = 3
_WATCH_S = 0.2
_SERVER_PAUSE_S = 5.0
_STOP_S = 15.0


class Stack:
    """One installation on this machine. ``hurry`` shortens the drain at its end."""

    def __init__(self, settings: Settings, say: Say, hurry: asyncio.Event) -> None:
        self.settings = settings
        self.data_dir = settings.data_dir.resolve()
        self.url = ""
        self._say, self._hurry = say, hurry
        self._lock: BinaryIO | None = None
        self._listening: socket.socket | None = None
        self._servers: dict[str, tuple[EmbeddedServer, Callable[[], EmbeddedServer]]] = {}
        self._children: dict[str, Child] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._untold = False
        self._database_url = self._redis_url = ""

    async def start(self) -> None:
        """Start everything; returns when the API is ready and a worker is there.

        Raises:
            SetupError: something does not start; says what, with the end of its log.

        """
        require_token_or_loopback(self.settings)
        self._lock = lock(self.data_dir)
        self._listening = _listen(self.settings.host, self.settings.port)
        self.url = address(self.settings.host, self._listening.getsockname()[1])
        self._start_servers()
        await migrate(self._database_url)
        self._start_children()
        await self._healthy()

    async def stop(self) -> None:
        """Drain: the worker first, so that what it still completes is stored; the servers last."""
        settings = self.settings
        # A worker waits for what runs, asks it to checkpoint, then kills it: each step has half of the drain timeout.
        patience_s = {"worker": 1.5 * settings.drain_timeout_s + settings.cancel_grace_s + _STOP_S}
        for name in ("worker", "scheduler", "api"):
            if child := self._children.get(name):
                await child.stop(patience_s.get(name, _STOP_S), self._hurry)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server, _ in reversed(self._servers.values()):
            server.stop()
        if self._listening is not None:
            self._listening.close()
        if self._lock is not None:
            (self.data_dir / FILE).unlink(missing_ok=True)
            release(self._lock)

    def _start_servers(self) -> None:
        settings = self.settings
        if settings.database_url is None:
            self._serve("postgres", lambda: start_postgres(self.data_dir))
        if settings.redis_url is None:
            self._serve("valkey", lambda: start_valkey(self.data_dir))
        given = settings.database_url, settings.redis_url
        self._database_url, self._redis_url = (
            url.get_secret_value() if url else self._servers[name][0].url
            for url, name in zip(given, ("postgres", "valkey"), strict=True)
        )
        self._keep(self._keep_servers())

    def _keep(self, duty: Coroutine[Any, Any, None]) -> None:
        """Go on with a duty until the end; one that dies of a bug is not missed in silence."""
        task = asyncio.create_task(duty)
        task.add_done_callback(self._notice)
        self._tasks.append(task)

    def _notice(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._say(f"a part of 'headway up' broke, restart it: {type(error).__name__}: {error}")

    def _serve(self, name: str, start: Callable[[], EmbeddedServer]) -> None:
        self._servers[name] = start(), start

    async def _keep_servers(self) -> None:
        """Start a server again that has died. On this thread: a server ends with the thread that started it."""
        while True:
            await asyncio.sleep(_WATCH_S)
            if self._untold:
                self._tell()
            for name, (server, start) in self._servers.items():
                if server.process.poll() is None:
                    continue
                self._say(f"{name} has ended; starting it again")
                server.stop()
                try:
                    self._servers[name] = start(), start
                except (SetupError, OSError) as error:
                    self._say(str(error))
                    await asyncio.sleep(_SERVER_PAUSE_S)
                self._tell()

    def _start_children(self) -> None:
        assert self._listening is not None
        fd = self._listening.fileno()
        logs = self.data_dir / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        env = self._environment()
        for name, arguments in {
            "api": ["api", "--fd", str(fd)],
            "scheduler": ["scheduler"],
            "worker": ["worker"],
        }.items():
            child = self._children[name] = Child(name, arguments, env, logs, self._say)
            self._keep(child.listen())
            self._keep(child.keep(self._tell))
        # The socket is ours: while the API is started again, its clients wait instead of being refused.
        self._children["api"].inherit(fd)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HEADWAY_DATABASE_URL": self._database_url,
            "HEADWAY_REDIS_URL": self._redis_url,
            "HEADWAY_DATA_DIR": str(self.data_dir),
            "HEADWAY_HOST": self.settings.host,
            "HEADWAY_LOG_FORMAT": "json",
        }

    async def _healthy(self) -> None:
        pool = await open_pool(
            self._database_url, max_size=2, prepared_statements=self.settings.database_prepared_statements
        )
        try:
            async with asyncio.timeout(HEALTHY_TIMEOUT_S), Client(self.url) as client:
                while not (await self._api_ready(client) and await self._worker_ready(pool)):
                    self._require_children()
                    await asyncio.sleep(_WATCH_S / 2)
        except TimeoutError:
            raise SetupError(
                f"Headway is not healthy after {HEALTHY_TIMEOUT_S:g} s: see {self.data_dir}/logs."
            ) from None
        finally:
            pool.terminate()

    @staticmethod
    async def _api_ready(client: Client) -> bool:
        with suppress(Unreachable):
            return (await client.ready()).get("status") == "ready"
        return False

    async def _worker_ready(self, pool: Pool) -> bool:
        """Whether our own worker holds a lease; those of other hosts say nothing about it."""
        pid = self._children["worker"].pid
        return pid is not None and await workers.holds_lease(pool, workers.name_of(pid))

    def _require_children(self) -> None:
        for child in self._children.values():
            if child.quick_deaths >= QUICK_DEATHS_MAX:
                raise SetupError(f"The {child.name} does not start. The end of {child.log}:\n{tail(child.log)}")

    def _tell(self) -> None:
        """Write down where everything is; while that cannot be written, try again."""
        pids = {"up": os.getpid()}
        pids |= {name: server.pid for name, (server, _) in self._servers.items()}
        pids |= {name: child.pid for name, child in self._children.items() if child.pid is not None}
        try:
            write(Running(self.url, self._database_url, self._redis_url, str(self.data_dir), pids))
        except OSError as error:
            if not self._untold:
                self._say(f"cannot write {self.data_dir / FILE}: {error.strerror}; trying again")
            self._untold = True
        else:
            self._untold = False


def require_token_or_loopback(settings: Settings) -> None:
    """Refuse at once what the API would refuse later.

    Raises:
        SetupError: the address is open to other machines and there is no token.

    """
    if settings.host not in {"127.0.0.1", "localhost", "::1"}:
        from app.api import auth  # noqa: PLC0415 - brings the whole web framework

        auth.require_token_or_loopback(settings)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(where[:2], family=family, backlog=2_048)
    except OSError as error:
        raise SetupError(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose another --port; 0 takes a free one.",
        ) from None
