"""The real API on a free port, with its own database, and the task types that a worker would have registered."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import httpx2
import msgspec
import pytest
from msgspec import Meta, Struct

from app import broadcast
from app.asgi import Server
from app.db.pool import Pool
from app.queue import JobQueue
from app.services import tasks
from app.settings import Settings
from schemas.queue import Queue, Slot
from schemas.stage import Hint
from schemas.task import TaskType
from tests.support import writers
from tests.support.streams import PATIENCE_S, Stream


class Params(Struct, forbid_unknown_fields=True):
    epochs: Annotated[int, Meta(ge=1)] = 1
    note: str = ""
    anything: Any = None


class Result(Struct):
    accuracy: float


@pytest.fixture(autouse=True)
async def task_types(pool: Pool) -> None:
    """The task ``learn``, with params that have types and one that takes anything."""
    schemas = msgspec.json.schema(Params), msgspec.json.schema(Result)
    await tasks.register(pool, [TaskType("learn", Queue.DEFAULT, Slot.INLINE, "1", *schemas)])


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[Server, str]]:
    """Serve until the block ends; the address is free and known before the first request."""
    # The protocol is named for asyncio, which would leave Nagle's delays on otherwise: 40 ms for each answer.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        api = Server(settings)
        task = asyncio.create_task(api.serve(sockets=[listener]))
        while not api.started:
            await asyncio.sleep(0.005)
            assert not task.done(), task.exception()
        try:
            yield api, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            api.should_exit = True
            await task


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[tuple[Server, str]]:
    async with serving(settings) as served:
        yield served


@pytest.fixture
def base_url(api: tuple[Server, str]) -> str:
    return api[1]


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=base_url) as client:
        yield client


@pytest.fixture
def serve() -> Callable[..., Any]:
    """For tests that need other settings, or more than one server."""
    return serving


@pytest.fixture
def submit(client: httpx2.AsyncClient) -> Callable[..., Coroutine[Any, Any, dict[str, Any]]]:
    """Submit a pipeline of one stage, or of the given ones."""

    async def submit(*stages: dict[str, Any], **fields: Any) -> dict[str, Any]:
        body = {"name": "digits", "stages": list(stages) or [{"name": "a", "task": "learn"}], **fields}
        answer = await client.post("/api/v1/pipelines", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return submit


@pytest.fixture
def append(pool: Pool) -> Callable[..., Coroutine[Any, Any, None]]:
    """Append events to a pipeline as a transition does, without telling Redis."""

    async def append(pipeline: str, count: int = 1, fill: str = "") -> None:
        await writers.append(pool, UUID(pipeline), count, fill)

    return append


@pytest.fixture
def hint(queue: JobQueue) -> Callable[..., Coroutine[Any, Any, None]]:
    """Tell that pipelines have news, as whoever commits does."""

    async def hint(*pipelines: dict[str, Any]) -> None:
        await queue.hint([Hint(0, pipeline["uuid"], 0, releasable=False) for pipeline in pipelines])

    return hint


@pytest.fixture
def happen(append: Callable[..., Any], hint: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, None]]:
    """Append events to a pipeline and tell of it."""

    async def happen(pipeline: dict[str, Any], count: int = 1, fill: str = "") -> None:
        await append(pipeline["uuid"], count, fill)
        await hint(pipeline)

    return happen


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes now does not come because somebody looked anyway."""
    monkeypatch.setattr(broadcast, "POLL_S", 3600)


@pytest.fixture
def follow_all(client: httpx2.AsyncClient) -> Callable[..., Any]:
    """Open the stream of all pipelines; it has begun when the block does."""

    @asynccontextmanager
    async def follow_all(query: str = "", **headers: str) -> AsyncIterator[Stream]:
        async with client.stream("GET", f"/api/v1/events{query}", headers=headers, timeout=PATIENCE_S) as answer:
            assert answer.status_code == 200, await answer.aread()
            stream = Stream(answer)
            assert set(await stream.frame()) == {"id", "retry"}
            yield stream

    return follow_all
