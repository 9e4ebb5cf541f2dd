"""The client against a server that misbehaves: event streams are resumed, create calls are repeated under their key."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
import pytest

from app.api import examples
from app.client import ApiError, Client, Unreachable, http, stream

PIPELINE = UUID(int=1)
SPEC = {"name": "digits", "stages": [{"name": "a", "task": "noop"}]}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\nretry: 2000\n\n"
Answer = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


def event(seq: int) -> bytes:
    data = (
        f'{{"id":"{seq}","source":"x","type":"stage.queued","subject":"a","time":"2030-01-01T00:00:00Z","data":{{}}}}'
    )
    return f"id: {seq}\nevent: stage.queued\ndata: {data}\n\n".encode()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[tuple[Client, list[int]]]:
    """A server whose answer depends on the event that the client has seen last; what it was told is kept."""
    seen: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        seen.append(int(head.partition("last-event-id: ")[2].partition("\r\n")[0]))
        await answer(seen[-1], writer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Client(f"http://127.0.0.1:{port}") as client:
        yield client, seen


async def test_a_stream_that_is_cut_in_the_middle_of_an_event_goes_on_behind_the_last_whole_one():
    async def answer(after: int, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + event(after + 1) + event(after + 2))
        writer.write(b": heartbeat\n\n" + event(after + 3)[:20] if after < 4 else b"event: end\ndata: {}\n\n")

    async with serving(answer) as (client, seen):
        assert [event.id async for event in client.pipelines.watch(PIPELINE)] == ["1", "2", "3", "4", "5", "6"]
        assert seen == [0, 2, 4]


async def test_a_server_that_is_away_for_a_moment_is_waited_for():
    failures = iter([b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n", b""])

    async def answer(after: int, writer: asyncio.StreamWriter) -> None:
        writer.write(next(failures, HEAD + event(after + 1) + b"event: end\ndata: {}\n\n"))

    async with serving(answer) as (client, seen):
        assert [event.id async for event in client.pipelines.watch(PIPELINE)] == ["1"]
        assert len(seen) == 3


async def test_a_client_that_has_seen_everything_is_done():
    async def answer(_after: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with serving(answer) as (client, seen):
        assert [event async for event in client.pipelines.watch(PIPELINE, after=7)] == []
        assert seen == [7]


async def test_a_refusal_ends_the_stream_with_the_words_of_its_problem_document():
    problem = b'{"title":"Not found","status":404,"detail":"There is no such pipeline.","code":"not_found"}'

    async def answer(_after: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(problem), problem))

    async with serving(answer) as (client, seen):
        with pytest.raises(ApiError, match="There is no such pipeline") as refusal:
            await anext(client.pipelines.watch(PIPELINE))
        assert (refusal.value.status, refusal.value.code) == (404, "not_found")
        assert len(seen) == 1


async def test_a_server_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream, "RECONNECT_FAILURES_MAX", 2)

    async def answer(_after: int, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with serving(answer) as (client, seen):
        with pytest.raises(Unreachable):
            await anext(client.pipelines.watch(PIPELINE))
        assert len(seen) == 3


@asynccontextmanager
async def creating(*answers: bytes) -> AsyncIterator[tuple[Client, list[str]]]:
    """A server that gives these answers to create calls, one each, then closes the connection; ``b""`` is no answer.

    The keys that it was sent are kept.
    """
    keys: list[str] = []
    left = iter(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
        keys.append(head.partition("idempotency-key: ")[2].partition("\r\n")[0])
        writer.write(next(left))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Client(f"http://127.0.0.1:{port}") as client:
        yield client, keys


def answered(status: int, body: bytes) -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


CREATED = answered(201, msgspec.json.encode(examples.ANSWERS["createPipeline"]))


async def test_a_create_call_whose_answer_is_lost_is_repeated_under_its_key():
    async with creating(b"", CREATED[:40], CREATED) as (client, keys):
        pipeline = await client.pipelines.create(SPEC, idempotency_key="k")
    assert str(pipeline.uuid) == examples.ANSWERS["createPipeline"]["uuid"]
    assert keys == ["k", "k", "k"]


@pytest.mark.parametrize(("status", "code"), [(409, "idempotency_key_in_flight"), (503, "unavailable")])
async def test_so_is_one_whose_server_asks_for_a_moment(status: int, code: str):
    async with creating(answered(status, b'{"code":"%s"}' % code.encode()), CREATED) as (client, keys):
        await client.pipelines.create(SPEC, idempotency_key="k")
    assert keys == ["k", "k"]


@pytest.mark.parametrize(
    ("status", "code"), [(409, "state_conflict"), (422, "idempotency_key_reused"), (500, "internal")]
)
async def test_a_refusal_is_not_asked_for_twice(status: int, code: str):
    async with creating(answered(status, b'{"code":"%s"}' % code.encode())) as (client, keys):
        with pytest.raises(ApiError) as refusal:
            await client.pipelines.create(SPEC, idempotency_key="k")
    assert (refusal.value.code, keys) == (code, ["k"])


async def test_a_server_that_never_was_there_is_told_at_once():
    async with creating() as (client, _):
        pass
    async with Client(client.url) as client, asyncio.timeout(5):
        with pytest.raises(Unreachable, match="Is 'headway up' running"):
            await client.pipelines.create(SPEC, idempotency_key="k")


async def test_a_server_that_went_away_is_waited_for_and_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "PATIENCE_S", 1)
    async with creating(*[b""] * 1_000) as (client, keys):
        with pytest.raises(Unreachable):
            await client.pipelines.create(SPEC, idempotency_key="k")
    assert len(keys) > 2


def log_text(place: str, text: str) -> bytes:
    return f'id: {place}\nevent: log\ndata: {{"attempt":{place[0]},"text":"{text}"}}\n\n'.encode()


async def test_a_followed_log_goes_on_behind_the_last_whole_piece_also_in_another_attempt():
    asked: list[str] = []
    answers = iter(
        [
            HEAD + log_text("1:4", "one ") + log_text("1:8", "two ")[:-1],
            HEAD + log_text("1:8", "two ") + log_text("2:6", "three "),
            HEAD + b'event: end\ndata: {"status":"completed"}\n\n',
        ]
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        asked.append(head.partition("last-event-id: ")[2].partition("\r\n")[0])
        writer.write(next(answers))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        pieces = [piece async for piece in client.tasks.follow_logs(PIPELINE, tail=10)]
    assert "".join(piece.text for piece in pieces) == "one two three "
    assert [piece.attempt for piece in pieces] == [1, 1, 2]
    assert asked == ["", "1:4", "2:6"]


async def test_a_read_whose_answer_is_lost_is_repeated():
    answers = iter([b"", answered(200, b'{"items":[],"next_cursor":null}')])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        assert (await client.queues.list()).items == []


async def test_a_stream_of_a_server_that_never_was_there_is_told_at_once():
    async with creating() as (client, _):
        pass
    async with Client(client.url) as client, asyncio.timeout(5):
        with pytest.raises(Unreachable, match="Is 'headway up' running"):
            await anext(client.pipelines.watch(PIPELINE))
