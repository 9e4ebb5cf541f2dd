"""Requests: one, or one that is repeated until it is answered; and what comes back, as Structs or as errors."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import httpx2
import msgspec

from app import __version__
from app.client.errors import ApiError, Unreachable
from app.errors import SetupError

REQUEST_TIMEOUT_S = 30.0
READY_TIMEOUT_S = 5.0
PAUSE_MAX_S = 5.0
PATIENCE_S = 30.0
"""How long a request that may be repeated is repeated, while its answer is lost or the server asks for a moment."""
ASK_AGAIN = frozenset({"unavailable", "idempotency_key_in_flight"})
T = TypeVar("T")


class Http:
    """One API: its address, its token, its connections. Raises SetupError for an address that is none."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        headers = {"User-Agent": f"headway/{__version__}"} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            # trust_env: a proxy from the environment has no business between this and the loopback.
            self._http = httpx2.AsyncClient(
                base_url=url, headers=headers, timeout=REQUEST_TIMEOUT_S, trust_env=not _is_local(url)
            )
        except httpx2.InvalidURL as error:
            raise SetupError(f"HEADWAY_URL cannot be used: {error}.") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, path: str, answer: type[T], **query: Any) -> T:
        """Read; repeated when the connection was lost, because reading twice is reading once."""
        return self._decoded(await self._insist("GET", path, frozenset(), params=pairs(query)), answer)

    async def get_text(self, path: str, **query: Any) -> str:
        """Read plain text."""
        return (await self._insist("GET", path, frozenset(), params=pairs(query))).decode()

    async def create(self, path: str, body: Mapping[str, Any], answer: type[T], *, key: str) -> T:
        """Create something once, however often that has to be said: an answer that is lost is asked for again."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        content = msgspec.json.encode(body)
        return self._decoded(await self._insist("POST", path, ASK_AGAIN, content=content, headers=headers), answer)

    async def send(self, method: str, path: str, answer: type[T], body: Any = None, **query: Any) -> T:
        """Ask once, with a JSON body or without one."""
        options: dict[str, Any] = {"params": pairs(query)}
        if body is not None:
            options |= {"content": msgspec.json.encode(body), "headers": {"Content-Type": "application/json"}}
        return self._decoded(await self._ask(method, path, **options), answer)

    async def delete(self, path: str) -> None:
        """Ask once for something to be deleted."""
        await self._ask("DELETE", path)

    async def ready(self) -> dict[str, Any]:
        """What ``/readyz`` answers, ready or not."""
        try:
            answer = await self._http.get("/readyz", timeout=READY_TIMEOUT_S)
        except httpx2.TransportError as error:
            raise Unreachable(f"Nothing answers at {self.url}: {error}") from None
        return self._decoded(answer.content, dict[str, Any])

    @asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str], query: Iterable[tuple[str, str]], silence_max_s: float
    ) -> AsyncIterator[httpx2.Response]:
        """Open a stream. What may pass is raised as ``httpx2.TransportError``, what will not as ``ApiError``."""
        timeout = httpx2.Timeout(REQUEST_TIMEOUT_S, read=silence_max_s)
        options: dict[str, Any] = {"headers": headers, "params": list(query), "timeout": timeout}
        async with self._http.stream("GET", path, **options) as response:
            if response.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
                raise httpx2.RemoteProtocolError(f"the server answered {response.status_code}")
            if response.is_error:
                raise ApiError(response.status_code, _problem(await response.aread()))
            yield response

    async def _insist(self, method: str, path: str, ask_again: frozenset[str], **options: Any) -> bytes:
        """Ask until there is an answer; for requests that may be repeated. A server that never was there is told."""
        failures, give_up_at = 0, asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            try:
                return await self._ask(method, path, **options)
            except (ApiError, Unreachable) as error:
                lost = error.connected or failures if isinstance(error, Unreachable) else error.code in ask_again
                if not lost or asyncio.get_running_loop().time() > give_up_at:
                    raise
            failures += 1
            await asyncio.sleep(pause_s(failures))

    async def _ask(self, method: str, path: str, **options: Any) -> bytes:
        try:
            response = await self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            advice = f"Nothing answers at {self.url} ({error}). Is 'headway up' running?"
            connected = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            raise Unreachable(advice, connected=connected) from None
        if response.is_error:
            raise ApiError(response.status_code, _problem(response.content))
        return response.content

    def _decoded(self, answer: bytes, model: type[T]) -> T:
        try:
            return msgspec.json.decode(answer, type=model)
        except msgspec.MsgspecError:
            detail = f"What answers at {self.url} is no Headway of this version. Is HEADWAY_URL right?"
            raise Unreachable(detail, connected=False) from None


def pairs(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A query string's pairs: a parameter that is None is left out, one that is a tuple or list is repeated."""
    found = []
    for name, value in query.items():
        values = value if isinstance(value, list | tuple) else () if value is None else (value,)
        found += [(name, _text(each)) for each in values]
    return found


def pause_s(failures: int) -> float:
    """How long to wait after so many failures in a row: longer each time, and not in step with others."""
    return random.uniform(0, min(PAUSE_MAX_S, 0.1 * 2**failures))


def _text(value: str | float | UUID) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _problem(body: bytes) -> dict[str, Any]:
    """Read a problem document; whatever else stands in its place says nothing."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def _is_local(url: str) -> bool:
    return httpx2.URL(url).host in {"127.0.0.1", "localhost", "::1"}
