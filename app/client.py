"""A small client of the HTTP API, for the command line: typed answers, typed errors, event streams that reconnect."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar
from uuid import UUID

import httpx2
import msgspec

from app import __version__
from app.errors import Fault, HeadwayError, SetupError
from schemas.event import Event
from schemas.pipeline import Pipeline, PipelinePage

REQUEST_TIMEOUT_S = 30.0
SILENCE_MAX_S = 45.0
"""A stream that says nothing, not even a heartbeat, for so long is taken for dead."""
RECONNECT_WAIT_MAX_S = 5.0
RECONNECT_FAILURES_MAX = 20
PATIENCE_S = 30.0
"""How long a request that may be repeated is repeated, while its answer is lost or the server asks for a moment."""
T = TypeVar("T")
ASK_AGAIN = frozenset({"unavailable", "idempotency_key_in_flight"})


class ApiError(HeadwayError):
    """The API refused; ``status`` and ``code`` are those of its problem document."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        faults = tuple(msgspec.convert(fault, Fault) for fault in problem.get("errors", ()))
        detail = problem.get("detail") or problem.get("title") or f"The server answered {status}."
        super().__init__(detail, faults=faults)
        self.status = status
        self.code = problem.get("code", "unknown")


class Unreachable(HeadwayError):
    """Nothing answers at the API's address; ``connected`` if a request may have got there all the same."""

    code = "unreachable"
    status = 503

    def __init__(self, detail: str, *, connected: bool = True) -> None:
        super().__init__(detail)
        self.connected = connected


class Client:
    """Use as ``async with Client(url, token) as client``. Raises SetupError for a URL that is none."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        headers = {"User-Agent": f"headway/{__version__}"} | ({"Authorization": f"Bearer {token}"} if token else {})
        # trust_env: a proxy from the environment has no business between this and the loopback.
        try:
            self._http = httpx2.AsyncClient(
                base_url=self.url, headers=headers, timeout=REQUEST_TIMEOUT_S, trust_env=not _is_local(url)
            )
        except httpx2.InvalidURL as error:
            raise SetupError(f"HEADWAY_URL cannot be used: {error}.") from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def create(self, spec: Mapping[str, Any], *, idempotency_key: str) -> Pipeline:
        """Submit a pipeline; ``spec`` is the body as the API documents it.

        An answer that is lost is asked for again under the same key, so the pipeline is created once.
        """
        body = msgspec.json.encode(spec)
        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        answer = await self._insist("POST", "/api/v1/pipelines", content=body, headers=headers)
        return self._read(answer, Pipeline)

    async def check(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Validate a pipeline without storing it; the answer is its plan."""
        params = {"dry_run": "true"}
        headers = {"Content-Type": "application/json"}
        answer = await self._ask(
            "POST", "/api/v1/pipelines", content=msgspec.json.encode(spec), params=params, headers=headers
        )
        return self._read(answer, dict[str, Any])

    async def get(self, uuid: UUID) -> Pipeline:
        """Everything about one pipeline."""
        return self._read(await self._ask("GET", f"/api/v1/pipelines/{uuid}"), Pipeline)

    async def cancel(self, uuid: UUID) -> Pipeline:
        """Ask for a pipeline to be cancelled; the answer may still say ``cancelling``."""
        return self._read(await self._ask("POST", f"/api/v1/pipelines/{uuid}/cancel"), Pipeline)

    async def list(self, *, limit: int, statuses: tuple[str, ...] = (), cursor: str | None = None) -> PipelinePage:
        """One page of pipelines, newest first."""
        params = [("limit", str(limit)), *(("status", status) for status in statuses)]
        if cursor is not None:
            params.append(("cursor", cursor))
        return self._read(await self._ask("GET", "/api/v1/pipelines", params=params), PipelinePage)

    async def ready(self) -> dict[str, Any]:
        """What ``/readyz`` answers, ready or not."""
        try:
            answer = await self._http.get("/readyz", timeout=5.0)
        except httpx2.TransportError as error:
            raise Unreachable(f"Nothing answers at {self.url}: {error}") from None
        return self._read(answer.content, dict[str, Any])

    async def watch(self, uuid: UUID, after: int = 0) -> AsyncIterator[Event]:
        """Yield the events of a pipeline behind number ``after``, live ones included, until it has ended.

        Reconnects where the stream was cut, and misses no event that has an id.

        Raises:
            ApiError: the API refuses, for example because there is no such pipeline.
            Unreachable: the API stays away.

        """
        failures = 0
        while True:
            try:
                async with self._stream(uuid, after) as stream:
                    if stream is None:
                        return
                    async for message in stream:
                        failures = 0
                        if message.event == "end":
                            return
                        if not message.data:
                            continue
                        event = msgspec.json.decode(message.data, type=Event)
                        if event.id is not None:
                            after = int(event.id)
                        yield event
            except httpx2.TransportError as error:
                if failures >= RECONNECT_FAILURES_MAX:
                    raise Unreachable(f"The event stream of {self.url} broke and cannot be resumed: {error}") from None
            failures += 1
            await asyncio.sleep(_pause_s(failures))

    @asynccontextmanager
    async def _stream(self, uuid: UUID, after: int) -> AsyncIterator[httpx2.EventSource | None]:
        """Open the stream; None when everything has been seen."""
        timeout = httpx2.Timeout(REQUEST_TIMEOUT_S, read=SILENCE_MAX_S)
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        path = f"/api/v1/pipelines/{uuid}/events"
        async with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
                raise httpx2.RemoteProtocolError(f"the server answered {response.status_code}")
            if response.is_error:
                raise ApiError(response.status_code, _problem(await response.aread()))
            yield None if response.status_code == httpx2.codes.NO_CONTENT else httpx2.EventSource(response)

    async def _insist(self, method: str, path: str, **options: Any) -> bytes:
        """Ask until there is an answer; for requests that may be repeated. A server that never was there is told."""
        failures, give_up_at = 0, asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            try:
                return await self._ask(method, path, **options)
            except (ApiError, Unreachable) as error:
                lost = error.connected or failures if isinstance(error, Unreachable) else error.code in ASK_AGAIN
                if not lost or asyncio.get_running_loop().time() > give_up_at:
                    raise
            failures += 1
            await asyncio.sleep(_pause_s(failures))

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

    def _read(self, answer: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.MsgspecError:
            raise Unreachable(f"What answers at {self.url} is not Headway, or another version of it.") from None


def _problem(body: bytes) -> dict[str, Any]:
    """Read a problem document; whatever else stands in its place says nothing."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def _pause_s(failures: int) -> float:
    """How long to wait after so many failures in a row: longer each time, and not in step with others."""
    return random.uniform(0, min(RECONNECT_WAIT_MAX_S, 0.1 * 2**failures))


def _is_local(url: str) -> bool:
    return httpx2.URL(url).host in {"127.0.0.1", "localhost", "::1"}
