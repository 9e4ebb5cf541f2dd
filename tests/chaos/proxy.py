"""A wire to Postgres that can be cut: the bytes stop, and nobody is told; or an answer is lost with its connection."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

READ_BYTES = 64 * 1024
SOCKET = ".s.PGSQL.5432"


class Proxy:
    """Listens on a unix socket and passes on what it hears, while ``whole`` is set."""

    def __init__(self, url: str, directory: Path) -> None:
        host = parse_qs(urlsplit(url).query)["host"][0]
        self.url = urlunsplit(urlsplit(url)._replace(query=f"host={quote(str(directory))}&port=5432"))
        self.whole = asyncio.Event()
        self.whole.set()
        self._postgres = f"{host}/{SOCKET}"
        self._writers: list[asyncio.StreamWriter] = []
        self.lost = 0
        self._lost_share, self._rng = 0.0, random.Random()
        self._tasks: list[asyncio.Task[None]] = []

    def cut(self) -> None:
        """From now on nothing arrives, in either direction."""
        self.whole.clear()

    def mend(self) -> None:
        """What was under way arrives late."""
        self.whole.set()

    def lose_answers(self, share: float, rng: random.Random) -> None:
        """From now on cut a connection where an answer should pass, so often; ``lost`` counts."""
        self._lost_share, self._rng = share, rng

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a client to Postgres."""
        far_reader, far_writer = await asyncio.open_unix_connection(self._postgres)
        self._writers += writer, far_writer
        self._tasks.append(asyncio.create_task(self._carry(reader, far_writer)))
        self._tasks.append(asyncio.create_task(self._carry(far_reader, writer, answers=True)))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with suppress(ConnectionError):
            while chunk := await source.read(READ_BYTES):
                await self.whole.wait()
                if answers and self._rng.random() < self._lost_share:
                    self.lost += 1
                    break
                sink.write(chunk)
        sink.close()

    async def close(self) -> None:
        """Drop all connections."""
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.close()
        waiting = [*self._tasks, *(writer.wait_closed() for writer in self._writers)]
        await asyncio.gather(*waiting, return_exceptions=True)


@asynccontextmanager
async def wire(url: str, directory: Path) -> AsyncIterator[Proxy]:
    """A proxy in front of the Postgres at ``url``, with its socket in ``directory``; connect to its own ``url``."""
    proxy = Proxy(url, directory)
    server = await asyncio.start_unix_server(proxy.connect, directory / SOCKET)
    try:
        yield proxy
    finally:
        server.close()
        await server.wait_closed()
        await proxy.close()


@asynccontextmanager
async def relay(url: str, host: str) -> AsyncIterator[str]:
    """A way to the same Postgres through a port of ``host``, for networks to be cut; yields the URL."""
    proxy = Proxy(url, Path())
    server = await asyncio.start_server(proxy.connect, host)
    port = server.sockets[0].getsockname()[1]
    try:
        yield urlunsplit(urlsplit(url)._replace(netloc=f"headway@{host}:{port}", query="sslmode=disable"))
    finally:
        server.close()
        await server.wait_closed()
        await proxy.close()
