"""A wire to Postgres that can be cut: the bytes stop, and nobody is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
        self._tasks: list[asyncio.Task[None]] = []

    def cut(self) -> None:
        """From now on nothing arrives, in either direction."""
        self.whole.clear()

    def mend(self) -> None:
        """What was under way arrives late."""
        self.whole.set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a client to Postgres."""
        far_reader, far_writer = await asyncio.open_unix_connection(self._postgres)
        self._writers += writer, far_writer
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._tasks.append(asyncio.create_task(self._carry(source, sink)))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(READ_BYTES):
            await self.whole.wait()
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
