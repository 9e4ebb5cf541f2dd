"""Whatever writers and readers of all pipelines do, in any order: nothing is missed, and each pipeline is in order.

Writers take transaction ids early and commit late, or not at all, and cross each other in the pipelines that they lock.
Readers are cut off in the middle of what was sent to them, come back with the last cursor that they saw, and are slow.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import feed, subscription
from app.core.bookmark import write_cursor
from app.db.pool import Connection, Pool, open_pool
from app.feed import Feed
from app.follower import Follower, Wanted
from app.services import events
from tests.support.pipelines import Submitted, submit
from tests.support.writers import Writer

PIPELINES, WRITERS, READERS = 3, 3, 3
FILTERS = [Wanted(), Wanted(), Wanted(types=frozenset({"stage.started"}))]
FINISH_MAX = 200


@pytest.fixture
async def many(database_url):
    """As many connections as there are writers, and some to read."""
    pool = await open_pool(database_url, max_size=WRITERS + 2)
    yield pool
    pool.terminate()


@dataclass
class Client:
    """A reader as it looks from outside: what it was sent, over all of its connections."""

    cursor: str
    wanted: Wanted
    seen: dict[tuple[str, int], None] = field(default_factory=dict)
    seen_now: set[tuple[str, int]] = field(default_factory=set)
    follower: Follower | None = None
    connection: ExitStack = field(default_factory=ExitStack)

    async def connect(self, pool: Pool, shared: Feed) -> None:
        if self.follower is None:
            bookmark = await events.begin(pool, self.cursor)
            self.follower = self.connection.enter_context(shared.subscribe(bookmark, self.wanted))
            self.cursor = self.follower.cursor
            self.seen_now = set()

    def drop(self) -> None:
        self.connection.close()
        self.follower = None

    async def step(self, shared: Feed) -> None:
        if self.follower and self.follower.alone and self.follower.is_empty:
            await shared._read_alone(self.follower)

    async def receive(self, count: int) -> None:
        """Get what waits; the connection breaks behind ``count`` frames if there are more."""
        if self.follower is None:
            return
        frames = (await self.follower.take(0)).split(b"\n\n")[:-1]
        for frame in frames[:count]:
            lines = dict(line.split(": ", 1) for line in frame.decode().splitlines())
            told = json.loads(lines["data"])
            event = told["source"].rpartition("/")[2], int(told["id"])
            assert event not in self.seen_now, "twice in one connection"
            self.seen_now.add(event)
            self.seen.setdefault(event)
            self.cursor = lines["id"]
        if len(frames) > count:
            self.drop()
        elif not frames:
            self.cursor = self.follower.cursor  # a heartbeat


@dataclass
class World:
    pool: Pool
    shared: Feed
    pipelines: list[Submitted]
    clients: list[Client]
    writers: dict[int, tuple[Connection, set[int]]] = field(default_factory=dict)

    async def write(self, number: int, place: int) -> None:
        """Append to a pipeline, if nobody else has locked it."""
        await self.take_id(number)
        c, locked = self.writers[number]
        if not any(place in others for other, (_, others) in self.writers.items() if other != number):
            locked.add(place)
            await Writer(c).append(self.pipelines[place].uuid)

    async def take_id(self, number: int) -> None:
        if number not in self.writers:
            c = await self.pool.acquire()
            await c.execute("BEGIN")
            self.writers[number] = c, set()
            await Writer(c).take_id()

    async def end(self, number: int, verb: str) -> None:
        if number in self.writers:
            c, _ = self.writers.pop(number)
            await c.execute(verb)
            await self.pool.release(c)

    async def play(self, step: tuple) -> None:
        match step:
            case ("write", number, place):
                await self.write(number, place)
            case ("take_id", number):
                await self.take_id(number)
            case ("end", number, verb):
                await self.end(number, verb)
            case ("connect", number):
                await self.clients[number].connect(self.pool, self.shared)
            case ("drop", number):
                self.clients[number].drop()
            case ("step", number):
                await self.clients[number].step(self.shared)
            case ("receive", number, count):
                await self.clients[number].receive(count)
            case ("look",):
                await self.shared._read()

    async def finish(self) -> None:
        """Everything is committed, and the clients stay until they have heard it."""
        for number in range(WRITERS):
            await self.end(number, "COMMIT")
        for client in self.clients:
            await client.connect(self.pool, self.shared)
        for _ in range(FINISH_MAX):
            before = [(client.cursor, len(client.seen)) for client in self.clients]
            for client in self.clients:
                await client.step(self.shared)
            await self.shared._read()
            for client in self.clients:
                await client.receive(1_000)
            idle = not any(client.follower.alone for client in self.clients) and not self.shared._joining
            if idle and before == [(client.cursor, len(client.seen)) for client in self.clients]:
                return
        pytest.fail("the clients do not come to rest")

    async def close(self) -> None:
        for number in range(WRITERS):
            await self.end(number, "ROLLBACK")
        for client in self.clients:
            client.drop()


WRITER, READER, PLACE = (st.integers(0, count - 1) for count in (WRITERS, READERS, PIPELINES))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), WRITER, PLACE),
        st.tuples(st.just("write"), WRITER, PLACE),
        st.tuples(st.just("take_id"), WRITER),
        st.tuples(st.just("end"), WRITER, st.sampled_from(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"])),
        st.tuples(st.just("connect"), READER),
        st.tuples(st.just("drop"), READER),
        st.tuples(st.just("step"), READER),
        st.tuples(st.just("receive"), READER, st.integers(0, 5)),
        st.just(("look",)),
        st.just(("look",)),
    ),
    min_size=10,
    max_size=60,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_every_reader_gets_every_event_and_each_pipeline_in_order(many, monkeypatch, steps):
    monkeypatch.setattr(feed, "EVENTS_PER_READ", 3)
    monkeypatch.setattr(subscription, "FRAMES_MAX", 3)
    begin = write_cursor((await events.begin(many, None)).floor)
    pipelines = [await submit(many, start=False) for _ in range(PIPELINES)]
    world = World(many, Feed(many), pipelines, [Client(begin, wanted) for wanted in FILTERS])
    try:
        for step in steps:
            await world.play(step)
        await world.finish()
    finally:
        await world.close()
    for pipeline in pipelines:
        rows = await many.fetch("SELECT seq, type FROM events WHERE pipeline_id = $1 ORDER BY seq", pipeline.id)
        for client in world.clients:
            expected = [row["seq"] for row in rows if client.wanted.takes(row["type"], None)]
            assert [seq for uuid, seq in client.seen if UUID(uuid) == pipeline.uuid] == expected
