"""Server-sent events as one endless sequence: where a connection is cut, the next one goes on behind what was seen."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

import httpx2

from app.client.errors import Unreachable
from app.client.http import Http, pause_s

SILENCE_MAX_S = 45.0
"""A stream that says nothing, not even a heartbeat, for so long is taken for dead."""
RECONNECT_FAILURES_MAX = 20
EVENT_BYTES_MAX = 8 * 1024 * 1024


async def follow(
    http: Http, path: str, query: Iterable[tuple[str, str]] = (), *, after: str | None = None
) -> AsyncGenerator[httpx2.ServerSentEvent]:
    """Yield the messages of a stream behind the one with the id ``after``, until its ``end``.

    It reconnects with the id of the last message that had one, so none of those is missed or comes twice.

    Raises:
        ApiError: the API refuses, for example because there is no such thing.
        Unreachable: the API stays away, or was never there.

    """
    failures, met = 0, False
    while True:
        headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": after})
        try:
            async with http.stream(path, headers, query, SILENCE_MAX_S) as response:
                met = True
                if response.status_code == httpx2.codes.NO_CONTENT:
                    return
                async for message in httpx2.EventSource(response, EVENT_BYTES_MAX):
                    failures = 0
                    if message.event == "end":
                        return
                    after = message.id or after  # which may come without an event
                    if message.data:
                        yield message
        except httpx2.SSEError as error:
            raise Unreachable(f"{http.url} answers with something that is no event stream: {error}") from None
        except httpx2.TransportError as error:
            if isinstance(error, httpx2.ConnectError) and not met:
                raise Unreachable(f"Nothing answers at {http.url} ({error}). Is 'headway up' running?") from None
            if failures >= RECONNECT_FAILURES_MAX:
                raise Unreachable(f"The event stream of {http.url} broke and cannot be resumed: {error}") from None
        failures += 1
        await asyncio.sleep(pause_s(failures))
