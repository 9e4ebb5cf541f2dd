"""A client that costs next to nothing: what is measured here is the server."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

HOST = "127.0.0.1"


@asynccontextmanager
async def connect(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the API that stays open."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=2**20)
    try:
        yield reader, writer
    finally:
        writer.close()


def request(method: str, path: str, body: object = None) -> bytes:
    """The bytes of a request."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Read one answer with a length; return its body.

    Raises:
        RuntimeError: it was not a success.

    """
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(value)
        for name, _, value in (line.partition(b":") for line in head.lower().split(b"\r\n"))
        if name == b"content-length"
    )
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 2"):
        raise RuntimeError(body.decode())
    return body


def events(block: bytes) -> Iterator[dict[str, Any]]:
    """The events in a part of a stream that ends with an empty line."""
    for line in block.splitlines():
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])
