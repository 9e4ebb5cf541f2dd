"""The stream of all pipelines when much happens, when clients are slow or leave, and when servers are away."""

import asyncio
import json
import random
import socket
import time
from urllib.parse import urlsplit
from uuid import UUID

import httpx2
import pytest
from pydantic import SecretStr

from app import broadcast, feed, metrics
from app.errors import Unavailable
from app.feed import EVENTS_PER_READ
from app.subscription import FRAMES_MAX
from tests.support.processes import until
from tests.support.streams import PATIENCE_S, Stream, known, of
from tests.support.writers import writing

BASE = "/api/v1/pipelines"
EVENTS = "/api/v1/events"
UNREADABLE = """
INSERT INTO events (pipeline_id, seq, type, data, "time")
SELECT id, 2, NULL, '{}', now() FROM pipelines WHERE uuid = $1"""


async def test_silence_is_broken_by_heartbeats_that_move_the_cursor(settings, serve, pool):
    async with serve(settings) as (server, url), httpx2.AsyncClient(base_url=url) as client:
        assert server.app.state.heartbeat_s <= 15
        server.app.state.heartbeat_s = 0.05
        async with client.stream("GET", f"{EVENTS}?after=begin&type=pipeline.failed") as answer:
            stream = Stream(answer)
            first = await stream.frame()
            body = {"name": "n", "stages": [{"name": "a", "task": "learn"}]}
            await client.post(BASE, json=body)
            places = {first["id"]}
            while len(places) < 3:
                frame = await stream.frame()
                assert set(frame) == {"id", ""}
                places.add(frame["id"])
                await pool.execute("SELECT pg_current_xact_id()")


@pytest.mark.usefixtures("no_poll")
async def test_a_hint_is_all_it_takes_to_be_awake_at_once(submit, follow_all, happen, append, hint):
    pipeline = await submit()
    async with follow_all() as stream:
        await happen(pipeline)
        await stream.event()
        waits = []
        for _ in range(20):
            await append(pipeline["uuid"])
            began = time.perf_counter()
            await hint(pipeline)
            await stream.event()
            waits.append(time.perf_counter() - began)
    assert sorted(waits)[10] < 0.05


@pytest.mark.usefixtures("no_poll")
async def test_one_wake_is_one_query_whatever_the_number_of_clients(api, submit, follow_all, happen, monkeypatch):
    pipeline, shared, reads = await submit(), api[0].app.state.broadcaster.feed, []
    read = feed.events.news

    async def counted(*args):
        reads.append(args)
        return await read(*args)

    async with (
        follow_all("?after=begin") as one,
        follow_all("?after=begin&type=stage.started") as two,
        follow_all() as three,
    ):
        joined = (False, False, False)
        await until(lambda: tuple(follower.alone for follower in shared._followers) == joined, "they do not join")
        await until(lambda: not shared._joining and not shared._news.is_set(), "they are not taken in")
        monkeypatch.setattr(feed.events, "news", counted)
        await happen(pipeline)
        assert [known(await stream.event()) for stream in (two, three)] == of(pipeline, 2) * 2
        assert [known(event) for event in await one.events(2)] == of(pipeline, 1, 2)
    assert len(reads) == 1


@pytest.mark.usefixtures("no_poll")
async def test_clients_that_come_and_go_while_many_write_get_everything_in_order(submit, follow_all, hint, pool):
    """Some transactions stay open for a while, some are rolled back, some send no hint; clients leave at any event."""
    pipelines, dice, total = [await submit() for _ in range(5)], random.Random(4), 61

    async def write(pipeline):
        for number in range(2, total + 1):
            async with writing(pool) as writer:
                await writer.take_id()
                await asyncio.sleep(dice.choice([0, 0, 0.02]))
                await writer.append(UUID(pipeline["uuid"]))
                if dice.random() < 0.2:
                    await writer.c.execute("ROLLBACK; BEGIN")
                    await writer.append(UUID(pipeline["uuid"]))
            if dice.random() < 0.7 or number == total:
                await hint(pipeline)

    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(_read_until(follow_all, total * len(pipelines), dice)) for _ in range(6)]
        for pipeline in pipelines:
            tasks.create_task(write(pipeline))
    for reader in readers:
        for pipeline in pipelines:
            assert [each for each in reader.result() if each[0] == pipeline["uuid"]] == of(
                pipeline, *range(1, total + 1)
            )


async def _read_until(follow_all, count, dice):
    """So many different events in the order in which they were first seen, by a client that keeps leaving."""
    cursor, seen = "begin", {}
    while len(seen) < count:
        async with follow_all("?after=0", **{"last-event-id": cursor}) as stream:
            for _ in range(dice.randint(1, 60)):
                if len(seen) < count:
                    event = await stream.event()
                    seen.setdefault(known(event))
                    cursor = event["id"]
    return list(seen)


@pytest.mark.usefixtures("no_poll")
async def test_a_slow_client_keeps_nobody_waiting_and_misses_nothing(api, submit, follow_all, happen):
    server, base_url = api
    pipeline, total = await submit(), 3_001  # 12 MB, more than sockets buffer
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((urlsplit(base_url).hostname, urlsplit(base_url).port))
        slow.sendall(f"GET {EVENTS}?after=begin HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        async with follow_all("?after=begin") as quick:
            for _ in range(total // 100):
                await happen(pipeline, 100, fill="f" * 4096)
            assert [known(event) for event in await quick.events(total)] == of(pipeline, *range(1, total + 1))
        waiting = [len(follower._frames) for follower in server.app.state.broadcaster.feed._followers]
        assert waiting
        assert max(waiting) < FRAMES_MAX + EVENTS_PER_READ
        slow.settimeout(0)
        reader, writer = await asyncio.open_connection(sock=slow)
        seen = []
        async with asyncio.timeout(3 * PATIENCE_S):
            while len(seen) < total:
                line = await reader.readuntil(b"\n")
                if line.startswith(b"data: "):
                    seen.append(int(json.loads(line[6:])["id"]))
        writer.close()
    assert seen == list(range(1, total + 1))


@pytest.mark.usefixtures("no_poll")
async def test_a_redis_that_was_emptied_or_cut_off_loses_nothing(submit, follow_all, happen, redis):
    pipeline = await submit()
    async with follow_all() as stream:
        for cut in (("FLUSHALL",), ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")):
            await redis.execute_command(*cut)
            await happen(pipeline)
            assert await stream.event()


async def test_without_a_hint_and_without_redis_events_still_come(settings, serve, append):
    settings = settings.model_copy(update={"redis_url": SecretStr("unix:///nowhere/valkey.sock")})
    body = {"name": "n", "stages": [{"name": "a", "task": "learn"}]}
    async with serve(settings) as (_, url), httpx2.AsyncClient(base_url=url) as client:
        pipeline = (await client.post(BASE, json=body)).json()
        async with client.stream("GET", f"{EVENTS}?after=begin") as answer:
            stream = Stream(answer)
            await stream.event()
            await append(pipeline["uuid"])
            began = time.perf_counter()
            assert [known(await stream.event())] == of(pipeline, 2)
            assert time.perf_counter() - began < 2 * broadcast.POLL_S


async def test_an_outage_of_postgres_delays_a_stream_and_does_not_end_it(submit, follow_all, happen, monkeypatch):
    pipeline, read, outages = await submit(), feed.events.news, iter([True, True])

    async def away_twice(*args):
        if next(outages, False):
            raise Unavailable("Postgres is away")
        return await read(*args)

    monkeypatch.setattr(feed, "RETRY_S", 0.01)
    async with follow_all("?after=begin") as stream:
        await stream.event()
        monkeypatch.setattr(feed.events, "news", away_twice)
        await happen(pipeline)
        assert [known(await stream.event())] == of(pipeline, 2)
        outages = iter([True])
        async with follow_all("?after=begin") as late:
            assert [known(event) for event in await late.events(2)] == of(pipeline, 1, 2)


async def test_what_cannot_be_read_ends_the_streams_of_all_pipelines_only(client, submit, follow_all, happen, pool):
    pipeline, broken = await submit(), await submit()
    async with (
        follow_all("?after=begin") as stream,
        client.stream("GET", f"{BASE}/{pipeline['uuid']}/events?after=1") as answer,
    ):
        await stream.events(2)
        alone = Stream(answer)
        await alone.frame()
        await pool.execute("ALTER TABLE events ALTER COLUMN type DROP NOT NULL")
        await pool.execute(UNREADABLE, UUID(broken["uuid"]))
        await happen(pipeline)
        assert (await alone.event())["id"] == "2"
        assert await stream.rest() == []


async def test_streams_that_were_left_are_forgotten(api, submit, follow_all):
    watched = api[0].app.state.broadcaster.feed
    before = metrics.sse_clients._value.get()
    async with follow_all() as one, follow_all("?status=pending") as two:
        await submit()
        await one.event()
        await two.event()
        assert metrics.sse_clients._value.get() == before + 2
        assert len(watched._followers) == 2
        assert watched.is_followed
    async with asyncio.timeout(PATIENCE_S):
        while metrics.sse_clients._value.get() > before:  # noqa: ASYNC110 - the server does not tell
            await asyncio.sleep(0.01)
    assert not watched._followers
    assert not watched._joining
    assert not watched.is_followed


async def test_open_streams_do_not_hold_up_a_shutdown(settings, serve, pool):
    async with serve(settings) as (server, url), httpx2.AsyncClient(base_url=url) as client:
        body = {"name": "n", "stages": [{"name": "a", "task": "learn"}]}
        await client.post(BASE, json=body)
        async with (
            client.stream("GET", f"{EVENTS}?after=begin") as answer,
            client.stream("GET", f"{EVENTS}?status=failed") as silent,
        ):
            stream = Stream(answer)
            await stream.event()
            server.should_exit = True
            began = time.perf_counter()
            assert await stream.rest() == []
            assert await Stream(silent).rest() == []
            assert time.perf_counter() - began < 2
