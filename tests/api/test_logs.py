"""Logs over HTTP: the end of one, or all of it as it is written, through every attempt."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx2
import pytest

from app import broadcast, metrics
from app.api import log_stream, logs
from app.artifacts import attempt_directory
from schemas.event import LiveEvent, LiveType
from schemas.queue import Slot
from schemas.stage import Hint
from schemas.states import Outcome
from tests.support.pipelines import Submitted, submit
from tests.support.workers import a_worker, ending

BASE = "/api/v1/tasks"
PATIENCE_S = 10


class Run:
    """A task with a process that the test plays: it starts attempts, prints, and ends them."""

    def __init__(self, settings, queue, pipeline: Submitted, worker) -> None:
        self.settings, self.queue, self.pipeline, self.worker = settings, queue, pipeline, worker
        self.claim = None

    async def path(self, query=""):
        return f"{BASE}/{(await self.pipeline.stage())['uuid']}/logs{query}"

    async def start(self):
        self.claim = await self.worker.start(self.pipeline)
        await self.hint()

    @property
    def log(self):
        return attempt_directory(self.settings.data_dir, self.pipeline.uuid, "a", self.claim.attempt) / "log.txt"

    def print(self, text):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as file:
            file.write(text if isinstance(text, bytes) else text.encode())

    async def end(self, outcome=Outcome.COMPLETED, **fields):
        await self.worker.report(ending(self.claim, outcome, **fields))
        await self.hint()

    async def retry(self):
        await self.end(Outcome.FAILED, retry_delay_s=0)
        await self.pipeline.release()
        await self.start()

    async def hint(self):
        await self.queue.hint([Hint(self.pipeline.id, self.pipeline.uuid, 0, releasable=False)])


@pytest.fixture
async def run(settings, queue, pool):
    return Run(settings, queue, await submit(pool, slot=Slot.PROCESS, max_retries=5), await a_worker(pool))


@pytest.fixture(autouse=True)
def no_poll(monkeypatch):
    """What comes does not come because the broadcaster looked anyway."""
    monkeypatch.setattr(broadcast, "POLL_S", 3600)


class Stream:
    """A followed log: frames as dictionaries, comments as ``{"": …}``."""

    def __init__(self, answer) -> None:
        self._lines = answer.aiter_lines()

    async def frame(self):
        fields = {}
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if not line:
                    return fields
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        return None

    async def event(self):
        while (frame := await self.frame()) is not None:
            if "event" in frame:
                return frame | {"data": json.loads(frame["data"])}
        return None

    async def text(self, expected, attempt=1):
        """Read on until all of a text has come; returns the last id."""
        got, place = "", None
        while got != expected:
            event = await self.event()
            assert event is not None, got
            assert event["event"] == "log", event
            assert event["data"]["attempt"] == attempt
            got, place = got + event["data"]["text"], event["id"]
            assert expected.startswith(got)
        return place

    async def end(self, status):
        assert await self.event() == {"event": "end", "data": {"status": status}}
        assert await self.frame() is None


@pytest.fixture
def follow(client):
    @asynccontextmanager
    async def follow(path, **headers):
        async with client.stream("GET", path, headers=headers, timeout=PATIENCE_S) as answer:
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield Stream(answer)

    return follow


# The end of a log


async def test_the_last_lines_are_plain_text(client, run):
    await run.start()
    run.print("".join(f"line {number}\n" for number in range(2_000)))
    answer = await client.get(await run.path())
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text.splitlines() == [f"line {number}" for number in range(1_000, 2_000)]
    assert (await client.get(await run.path("?tail=2"))).text == "line 1998\nline 1999\n"
    assert (await client.get(await run.path("?tail=0"))).text == ""


async def test_each_attempt_has_a_log_of_its_own_and_the_newest_is_shown(client, run):
    await run.start()
    run.print("first\n")
    await run.retry()
    run.print("second\n")
    texts = [(await client.get(await run.path(query))).text for query in ("", "?attempt=2", "?attempt=1")]
    assert texts == ["second\n", "second\n", "first\n"]


async def test_the_log_of_a_task_that_has_ended_stays(client, run):
    await run.start()
    run.print("bye\n")
    await run.end()
    assert (await client.get(await run.path())).text == "bye\n"


async def test_a_log_that_is_not_to_be_seen_is_not_found_and_the_answer_says_why(client, run, pool):
    async def told(path):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        return answer.json()["detail"]

    assert "never started" in await told(await run.path())
    assert "started 0 times" in await told(await run.path("?attempt=1&follow=true"))
    await run.start()
    assert "HEADWAY_DATA_DIR" in await told(await run.path())
    assert "started 1 times" in await told(await run.path("?attempt=2"))
    await pool.execute("UPDATE stages SET started_at = started_at - interval '1 minute'")
    assert "HEADWAY_DATA_DIR" in await told(await run.path("?follow=true"))
    inline = await submit(pool)
    for query in ("", "?follow=true"):
        assert "runs inside its worker" in await told(f"{BASE}/{(await inline.stage())['uuid']}/logs{query}")


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?tail=-1", {}),
        (f"?tail={logs.TAIL_MAX + 1}", {}),
        ("?attempt=0", {}),
        (f"?attempt={2**31}", {}),
        ("?follow=maybe", {}),
        ("?lines=5", {}),
        ("?follow=true", {"last-event-id": "5"}),
        ("?follow=true", {"last-event-id": "1:-5"}),
        ("?follow=true", {"last-event-id": f"1:{10**30}"}),
    ],
)
async def test_what_is_not_understood_is_refused(client, run, query, headers):
    answer = await client.get(await run.path(query), headers=headers)
    assert answer.status_code == 422, answer.text


# Following


async def test_a_log_is_followed_as_it_is_written_to_the_end_of_the_task(run, follow):
    await run.start()
    run.print("one\ntwo\nthree\n")
    async with follow(await run.path("?follow=true&tail=2")) as stream:
        assert await stream.frame() == {"retry": "2000"}
        await stream.text("two\nthree\n")
        for text in ("four\n", "five, and no end of the line", "\x1b[31mred\x1b[0m\r"):
            run.print(text)
            await stream.text(text)
        run.print("last words")
        await run.end()
        await stream.text("last words")
        await stream.end("completed")


async def test_what_was_written_before_the_end_comes_before_the_end(run, follow):
    """The log is much longer than what is read at once, and the task has ended when the client comes."""
    text = "".join(f"{number:09}\n" for number in range(50_000))
    await run.start()
    run.print(text)
    await run.end(Outcome.FAILED)
    async with follow(await run.path("?follow=true&tail=100000")) as stream:
        await stream.text(text)
        await stream.end("failed")


async def test_the_end_of_the_whole_pipeline_does_not_cut_off_the_last_words(run, follow):
    """Then nothing more is heard of it; what it has printed, and that it has ended, is told all the same."""
    await run.start()
    async with follow(await run.path("?follow=true")) as stream:
        await stream.frame()
        run.print("last words")
        await run.worker.report(ending(run.claim))
        await run.pipeline.release()
        assert await run.pipeline.status() == "completed"
        await run.hint()
        await stream.text("last words")
        await stream.end("completed")


async def test_it_goes_on_into_the_next_attempt(run, follow):
    await run.start()
    async with follow(await run.path("?follow=true")) as stream:
        run.print("first\n")
        await stream.text("first\n", attempt=1)
        run.print("first again\n")
        await run.retry()
        await stream.text("first again\n", attempt=1)
        run.print("second\n")
        await stream.text("second\n", attempt=2)
        await run.end()
        await stream.end("completed")


async def test_it_waits_for_a_task_that_has_not_begun(run, follow):
    async with follow(await run.path("?follow=true")) as stream:
        await stream.frame()
        await run.start()
        run.print("at last\n")
        await stream.text("at last\n")
        await run.end()
        await stream.end("completed")


async def test_a_task_that_never_begins_ends_the_stream(client, run, follow):
    async with follow(await run.path("?follow=true")) as stream:
        await stream.frame()
        assert (await client.post(f"/api/v1/pipelines/{run.pipeline.uuid}/cancel")).status_code == 202
        await stream.end("cancelled")


async def test_an_attempt_without_a_log_is_passed_over(run, follow):
    await run.start()
    async with follow(await run.path("?follow=true")) as stream:
        await stream.frame()
        await run.retry()
        run.print("second\n")
        await stream.text("second\n", attempt=2)


async def test_a_client_that_comes_back_goes_on_where_it_was(run, follow):
    text = "".join(f"line é {number}\n" for number in range(30_000))
    await run.start()
    run.print(text)
    got, place = "", "1:0"
    while got != text:
        async with follow(await run.path("?follow=true&tail=3"), **{"last-event-id": place}) as stream:
            event = await stream.event()
            got, place = got + event["data"]["text"], event["id"]
            assert place == f"1:{len(got.encode())}"
    run.print("more\n")
    await run.retry()
    run.print("second\n")
    async with follow(await run.path("?follow=true"), **{"last-event-id": place}) as stream:
        await stream.text("more\n", attempt=1)
        await stream.text("second\n", attempt=2)


async def test_all_attempts_can_be_followed_from_the_first(run, follow):
    await run.start()
    run.print("first\n")
    await run.retry()
    run.print("second\n")
    for query, headers in (("?follow=true&attempt=1", {}), ("?follow=true", {"last-event-id": "0:0"})):
        async with follow(await run.path(query), **headers) as stream:
            await stream.text("first\n", attempt=1)
            await stream.text("second\n", attempt=2)


async def test_who_has_seen_everything_is_told_not_to_come_back(client, run, follow):
    await run.start()
    run.print("é\n")
    path = await run.path("?follow=true")
    await run.end()
    async with follow(path, **{"last-event-id": "1:0"}) as stream:
        place = await stream.text("é\n")
        await stream.end("completed")
    answer = await client.get(path, headers={"last-event-id": place})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_who_has_seen_all_of_an_earlier_attempt_gets_the_later_ones(run, follow):
    await run.start()
    run.print("first\n")
    await run.retry()
    run.print("second\n")
    await run.end()
    async with follow(await run.path("?follow=true"), **{"last-event-id": "1:6"}) as stream:
        await stream.text("second\n", attempt=2)
        await stream.end("completed")


async def test_a_log_that_is_emptied_while_it_is_followed_is_begun_anew(run, follow):
    await run.start()
    run.print("a long first line\n")
    async with follow(await run.path("?follow=true")) as stream:
        await stream.text("a long first line\n")
        run.log.write_text("anew\n")
        assert await stream.text("anew\n") == "1:5"


async def test_silence_is_broken_by_heartbeats(settings, serve, run):
    await run.start()
    run.print("x\n")
    async with serve(settings) as (server, url), httpx2.AsyncClient(base_url=url) as client:
        assert server.app.state.heartbeat_s <= 15
        server.app.state.heartbeat_s = 0.05
        async with client.stream("GET", await run.path("?follow=true&tail=0")) as answer:
            stream = Stream(answer)
            assert await stream.frame() == {"retry": "2000"}
            assert [await stream.frame() for _ in range(3)] == [{"": "heartbeat"}] * 3
            await run.end(Outcome.FAILED, retry_delay_s=60)  # nothing runs now, and still there is a heartbeat
            assert [await stream.frame() for _ in range(3)] == [{"": "heartbeat"}] * 3


async def test_the_busy_life_of_other_stages_does_not_make_it_look(run, follow, pool, append, monkeypatch):
    await run.start()
    run.print("x\n")
    looks = []
    place = log_stream.tasks.place

    async def counted(*args):
        looks.append(args)
        return await place(*args)

    async with follow(await run.path("?follow=true")) as stream:
        await stream.text("x\n")
        monkeypatch.setattr(log_stream.tasks, "place", counted)
        for _ in range(20):
            await append(str(run.pipeline.uuid), 5)
            await run.hint()
        data = {"task_id": str(run.claim.stage), "progress": 0.5}
        for _ in range(20):
            await run.queue.tell([LiveEvent(run.pipeline.uuid, LiveType.STAGE_PROGRESS, "a", data)])
        run.print("y\n")
        await stream.text("y\n")
        assert looks == []
        await run.end()
        await stream.end("completed")
        assert len(looks) == 1


async def test_a_slow_client_is_read_for_no_faster_than_it_reads(base_url, run, monkeypatch):
    """What was not taken waits on disk, not in memory."""
    reads = []
    read = log_stream.LogReader.read

    def counted(self, **options):
        text = read(self, **options)
        reads.append(len(text))
        return text

    monkeypatch.setattr(log_stream.LogReader, "read", counted)
    await run.start()
    with run_file(run) as file:
        file.truncate(1_000_000_000)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((urlsplit(base_url).hostname, urlsplit(base_url).port))
        head = f"GET {await run.path('?follow=true')} HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 1:0\r\n\r\n"
        slow.sendall(head.encode())
        while not reads:  # noqa: ASYNC110 - the server does not tell
            await asyncio.sleep(0.01)
        before = -1
        while before != len(reads):
            before = len(reads)
            await asyncio.sleep(0.3)
    assert sum(reads) < 10_000_000


def run_file(run):
    run.print("")
    return run.log.open("r+b")


async def test_streams_that_were_left_are_forgotten(run, follow):
    await run.start()
    run.print("x\n")
    before = metrics.sse_clients._value.get()
    async with follow(await run.path("?follow=true")) as stream:
        await stream.text("x\n")
        assert metrics.sse_clients._value.get() == before + 1
    async with asyncio.timeout(PATIENCE_S):
        while metrics.sse_clients._value.get() > before:  # noqa: ASYNC110 - the server does not tell
            await asyncio.sleep(0.01)


async def test_the_stream_of_a_pipeline_that_is_deleted_is_closed(client, run, follow):
    pending = await submit(run.worker.pool, start=False, slot=Slot.PROCESS)
    async with follow(f"{BASE}/{(await pending.stage())['uuid']}/logs?follow=true") as stream:
        await stream.frame()
        assert (await client.delete(f"/api/v1/pipelines/{pending.uuid}")).status_code == 204
        assert await stream.frame() is None


async def test_open_streams_do_not_hold_up_a_shutdown(settings, serve, run):
    await run.start()
    run.print("x\n")
    path = await run.path("?follow=true")
    async with (
        serve(settings) as (server, url),
        httpx2.AsyncClient(base_url=url) as client,
        client.stream("GET", path, timeout=PATIENCE_S) as answer,
    ):
        stream = Stream(answer)
        await stream.text("x\n")
        server.should_exit = True
        async with asyncio.timeout(2):
            assert await stream.frame() is None
