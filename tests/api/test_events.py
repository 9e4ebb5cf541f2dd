"""Event streams: complete, in order, resumable, cheap, and gone when they should be."""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

import httpx2
import pytest
from pydantic import SecretStr

from app import broadcast, metrics
from app.asgi import Server
from app.embedded import start_valkey
from app.subscription import FRAMES_MAX
from schemas.event import LiveEvent, LiveType
from schemas.stage import Hint
from tests.support.streams import PATIENCE_S, Stream, ids, types

BASE = "/api/v1/pipelines"


@pytest.fixture
def follow(client):
    @asynccontextmanager
    async def follow(pipeline, query="", **headers):
        path = f"{BASE}/{pipeline['uuid']}/events{query}"
        async with client.stream("GET", path, headers=headers, timeout=PATIENCE_S) as answer:
            assert answer.status_code == 200, await answer.aread()
            yield Stream(answer)

    return follow


async def test_a_stream_replays_from_the_first_event_goes_on_live_and_ends_with_the_pipeline(client, submit, follow):
    pipeline = await submit()
    async with follow(pipeline) as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["cache-control"] == "no-cache"
        assert stream.answer.headers["x-accel-buffering"] == "no"
        assert await stream.frame() == {"retry": "2000"}
        assert types(await stream.events(1)) == ["pipeline.created"]
        await client.post(f"{BASE}/{pipeline['uuid']}/start")
        assert types(await stream.events(2)) == ["pipeline.started", "stage.queued"]
        await client.post(f"{BASE}/{pipeline['uuid']}/cancel")
        rest = await stream.rest()
    assert types(rest) == ["pipeline.cancelling", "stage.cancelled", "pipeline.cancelled", "end"]
    assert ids(rest) == [4, 5, 6]
    assert "id" not in rest[-1]


async def test_an_event_is_one_json_object_with_the_names_of_cloudevents(submit, follow):
    pipeline = await submit(start=True)
    async with follow(pipeline) as stream:
        events = await stream.events(3)
    for event in events:
        told = json.loads(event["data"])
        assert set(told) == {"id", "source", "type", "subject", "time", "data"}
        assert (told["id"], told["type"]) == (event["id"], event["event"])
        assert told["source"] == f"{BASE}/{pipeline['uuid']}"
        assert datetime.fromisoformat(told["time"]).tzinfo
    assert [json.loads(event["data"])["subject"] for event in events] == [None, None, "a"]


@pytest.mark.parametrize(
    ("query", "headers"), [("?after=2", {}), ("", {"last-event-id": "2"})], ids=["query", "header"]
)
async def test_a_client_that_comes_back_gets_what_it_has_not_seen(submit, follow, query, headers):
    pipeline = await submit(start=True)
    async with follow(pipeline, query, **headers) as stream:
        assert ids(await stream.events(1)) == [3]


async def test_the_browsers_place_wins_over_the_address_that_it_started_from(submit, follow):
    pipeline = await submit(start=True)
    async with follow(pipeline, "?after=0", **{"last-event-id": "2"}) as stream:
        assert ids(await stream.events(1)) == [3]


async def test_the_stream_of_a_pipeline_that_has_ended_is_replayed_and_closed(client, submit, follow):
    pipeline = await submit(start=True)
    await client.post(f"{BASE}/{pipeline['uuid']}/cancel")
    async with follow(pipeline) as stream:
        events = await stream.rest()
    assert ids(events) == [1, 2, 3, 4, 5, 6]
    assert types(events)[-1] == "end"


async def test_who_has_seen_everything_is_told_not_to_come_back(client, submit):
    pipeline = await submit()
    path = f"{BASE}/{pipeline['uuid']}"
    await client.post(f"{path}/cancel")
    last = (await client.get(f"{path}/events")).text.count("\nid: ")
    for place in (last, last + 100):
        answer = await client.get(f"{path}/events", headers={"last-event-id": str(place)})
        assert (answer.status_code, answer.content) == (204, b"")


async def test_a_place_that_is_no_number_is_refused(client, submit):
    pipeline = await submit()
    path = f"{BASE}/{pipeline['uuid']}/events"
    for query, headers in [("?after=-1", {}), ("?after=x", {}), ("", {"last-event-id": "x"}), (f"?after={2**31}", {})]:
        answer = await client.get(path + query, headers=headers)
        assert answer.status_code == 422, (query, headers)


async def test_silence_is_broken_by_heartbeats(settings, serve):
    body = {"name": "n", "stages": [{"name": "a", "task": "learn"}]}
    async with serve(settings) as (server, url), httpx2.AsyncClient(base_url=url) as client:
        assert server.app.state.heartbeat_s <= 15
        server.app.state.heartbeat_s = 0.05
        location = (await client.post(BASE, json=body)).headers["location"]
        async with client.stream("GET", f"{location}/events?after=1") as answer:
            stream = Stream(answer)
            assert await stream.frame() == {"retry": "2000"}
            assert [await stream.frame() for _ in range(3)] == [{"": "heartbeat"}] * 3


@pytest.mark.usefixtures("no_poll")
async def test_many_streams_see_every_event_once_and_in_order_while_writers_write(submit, follow, append, queue):
    """Some commits send no hint, some two; streams join in the middle; everybody gets everything."""
    pipeline, total = await submit(), 301

    async def write():
        for number in range(60):
            await append(pipeline["uuid"], 5)
            for _ in range(number % 3):
                await queue.hint([Hint(0, pipeline["uuid"], 0, releasable=False)])

    async def read(delay_s):
        await asyncio.sleep(delay_s)
        async with follow(pipeline) as stream:
            return ids(await stream.events(total))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        readers = [tasks.create_task(read(number * 0.02)) for number in range(20)]
    assert all(reader.result() == list(range(1, total + 1)) for reader in readers)


@pytest.mark.usefixtures("no_poll")
async def test_a_hint_is_all_it_takes_to_be_awake_at_once(submit, follow, append, queue):
    pipeline = await submit()
    async with follow(pipeline, "?after=1") as stream:
        await stream.frame()
        waits = []
        for _ in range(20):
            await append(pipeline["uuid"])
            began = time.perf_counter()
            await queue.hint([Hint(0, pipeline["uuid"], 0, releasable=False)])
            await stream.event()
            waits.append(time.perf_counter() - began)
    assert sorted(waits)[10] < 0.05


@pytest.mark.usefixtures("no_poll")
async def test_one_wake_is_one_query_whatever_the_number_of_clients(submit, follow, append, queue, monkeypatch):
    pipeline, reads = await submit(), []
    read = broadcast.events.read

    async def counted(*args):
        reads.append(args)
        return await read(*args)

    async with follow(pipeline) as one, follow(pipeline) as two, follow(pipeline) as three:
        streams = (one, two, three)
        for stream in streams:
            await stream.event()
        await append(pipeline["uuid"])
        monkeypatch.setattr(broadcast.events, "read", counted)
        await queue.hint([Hint(0, pipeline["uuid"], 0, releasable=False)])
        assert [ids(await stream.events(1)) for stream in streams] == [[2]] * 3
    assert len(reads) == 1


async def test_live_reports_pass_through_without_an_id(submit, follow, queue):
    pipeline = await submit()
    async with follow(pipeline) as stream:
        await stream.event()
        await queue.redis.xadd("headway:live", {"e": b"not JSON"})
        await queue.redis.xadd("headway:events", {"p": "not a uuid"})
        await queue.tell([LiveEvent(pipeline["uuid"], LiveType.STAGE_PROGRESS, "a", {"fraction": 0.5})])
        event = await stream.event()
    assert (event["event"], "id" in event) == ("stage.progress", False)
    told = json.loads(event["data"])
    assert (told["id"], told["subject"], told["data"]) == (None, "a", {"fraction": 0.5})


async def test_without_a_hint_and_without_redis_events_still_come(settings, serve, append, monkeypatch):
    monkeypatch.setattr(broadcast, "POLL_TURNS", 10**9)  # no turn is the pipeline's
    settings = settings.model_copy(update={"redis_url": SecretStr("unix:///nowhere/valkey.sock")})
    body = {"name": "n", "stages": [{"name": "a", "task": "learn"}]}
    async with serve(settings) as (_, url), httpx2.AsyncClient(base_url=url) as client:
        pipeline = (await client.post(BASE, json=body)).json()
        async with client.stream("GET", f"{BASE}/{pipeline['uuid']}/events") as answer:
            stream = Stream(answer)
            await stream.event()
            await append(pipeline["uuid"])
            began = time.perf_counter()
            assert ids(await stream.events(1)) == [2]
            assert time.perf_counter() - began < 2 * broadcast.POLL_S


@pytest.mark.usefixtures("no_poll")
async def test_a_redis_that_was_emptied_or_cut_off_loses_nothing(submit, follow, append, redis, queue):
    pipeline = await submit()
    async with follow(pipeline) as stream:
        await stream.event()
        for cut in (("FLUSHALL",), ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")):
            await redis.execute_command(*cut)
            await append(pipeline["uuid"])
            await queue.hint([Hint(0, pipeline["uuid"], 0, releasable=False)])
            assert await stream.event()


@pytest.mark.usefixtures("no_poll")
async def test_a_redis_that_comes_back_is_a_reason_to_look_at_everything(settings, serve, append, tmp_path):
    valkey = await asyncio.to_thread(start_valkey, tmp_path)
    settings = settings.model_copy(update={"redis_url": SecretStr(valkey.url)})
    body = {"name": "n", "stages": [{"name": "a", "task": "learn"}]}
    try:
        async with serve(settings) as (_, url), httpx2.AsyncClient(base_url=url) as client:
            pipeline = (await client.post(BASE, json=body)).json()
            async with client.stream("GET", f"{BASE}/{pipeline['uuid']}/events") as answer:
                stream = Stream(answer)
                await stream.event()
                await asyncio.to_thread(valkey.stop)
                await asyncio.sleep(1)  # longer than a client tries again by itself
                await append(pipeline["uuid"])
                valkey = await asyncio.to_thread(start_valkey, tmp_path)
                assert ids(await stream.events(1)) == [2]
    finally:
        await asyncio.to_thread(valkey.stop)


@pytest.mark.usefixtures("no_poll")
async def test_a_slow_client_keeps_nobody_waiting_and_misses_nothing(api, submit, follow, append, queue):
    server, base_url = api
    pipeline, total = await submit(), 3_001  # 12 MB, more than sockets buffer
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((urlsplit(base_url).hostname, urlsplit(base_url).port))
        slow.sendall(f"GET {BASE}/{pipeline['uuid']}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        async with follow(pipeline) as quick:
            await append(pipeline["uuid"], total - 1, fill="f" * 4096)
            await queue.hint([Hint(0, pipeline["uuid"], 0, releasable=False)])
            assert ids(await quick.events(total)) == list(range(1, total + 1))
        watching = server.app.state.broadcaster._subscriptions[UUID(pipeline["uuid"])]
        assert max(len(subscription._frames) for subscription in watching) == FRAMES_MAX
        slow.settimeout(0)
        reader, writer = await asyncio.open_connection(sock=slow)
        seen = []
        async with asyncio.timeout(2 * PATIENCE_S):
            while len(seen) < total:
                line = await reader.readuntil(b"\n")
                if line.startswith(b"id: "):
                    seen.append(int(line[4:]))
        writer.close()
    assert seen == list(range(1, total + 1))


async def test_streams_that_were_left_are_forgotten(submit, follow):
    pipeline = await submit()
    before = metrics.sse_clients._value.get()
    async with follow(pipeline) as one, follow(pipeline) as two:
        await one.event()
        await two.event()
        assert metrics.sse_clients._value.get() == before + 2
    async with asyncio.timeout(PATIENCE_S):
        while metrics.sse_clients._value.get() > before:  # noqa: ASYNC110 - the server does not tell
            await asyncio.sleep(0.01)


async def test_the_stream_of_a_pipeline_that_is_deleted_is_closed(client, submit, follow):
    pipeline = await submit()
    async with follow(pipeline) as stream:
        await stream.event()
        assert (await client.delete(f"{BASE}/{pipeline['uuid']}")).status_code == 204
        assert await stream.rest() == []
    assert (await client.get(f"{BASE}/{pipeline['uuid']}/events", headers={"last-event-id": "1"})).status_code == 404


async def test_a_pipeline_that_cannot_be_read_ends_its_own_streams_only(submit, follow, append, queue, pool):
    healthy, broken = await submit(), await submit()
    async with follow(healthy) as one, follow(broken) as two:
        await one.event()
        await two.event()
        await pool.execute("ALTER TABLE events ALTER COLUMN type DROP NOT NULL")
        await append(broken["uuid"])
        await pool.execute("UPDATE events SET type = NULL WHERE seq = 2")
        await append(healthy["uuid"])
        await queue.hint([Hint(0, pipeline["uuid"], 0, releasable=False) for pipeline in (broken, healthy)])
        assert await two.rest() == []
        assert ids(await one.events(1)) == [2]


async def test_open_streams_do_not_hold_up_a_shutdown(settings, serve):
    body = {"name": "n", "stages": [{"name": "a", "task": "learn"}]}
    async with serve(settings) as (server, url), httpx2.AsyncClient(base_url=url) as client:
        assert isinstance(server, Server)
        location = (await client.post(BASE, json=body)).headers["location"]
        async with client.stream("GET", f"{location}/events") as answer:
            stream = Stream(answer)
            await stream.event()
            server.should_exit = True
            began = time.perf_counter()
            assert await stream.rest() == []
            assert time.perf_counter() - began < 2
