"""How clients of the stream of all pipelines join those that are up to date, and leave them."""

import json

import pytest

from app import feed, subscription
from app.core.bookmark import Bookmark
from app.feed import Feed
from app.follower import Wanted
from tests.support.pipelines import submit
from tests.support.writers import append, writing


@pytest.fixture
def shared(pool, monkeypatch):
    """A feed that reads when the test says so, three events at a time."""
    monkeypatch.setattr(feed, "EVENTS_PER_READ", 3)
    return Feed(pool)


@pytest.fixture
async def pipeline(pool):
    """It has one event."""
    return await submit(pool, start=False)


async def received(shared, follower):
    """The numbers of the events that wait for it."""
    frames = (await follower.take(0) or b"").split(b"\n\n")[:-1]
    return [int(json.loads(frame.partition(b"data: ")[2])["id"]) for frame in frames]


async def test_a_client_joins_when_a_page_of_its_own_is_not_full(shared, pool, pipeline):
    await append(pool, pipeline.uuid, 3)
    with shared.subscribe(Bookmark(), Wanted()) as client:
        await shared._read_alone(client)
        assert (client.alone, await received(shared, client)) == (True, [1, 2, 3])
        await shared._read_alone(client)
        assert (client.alone, await received(shared, client)) == (False, [4])
        assert not shared.is_followed
        await shared._read()
        assert shared.is_followed


@pytest.mark.parametrize("company", [False, True])
async def test_what_is_committed_while_it_joins_is_not_lost(shared, pool, pipeline, company):
    with shared.subscribe(Bookmark(), Wanted()) as other, shared.subscribe(Bookmark(), Wanted()) as client:
        if company:
            await shared._read_alone(other)
            await shared._read()
        await shared._read_alone(client)
        await append(pool, pipeline.uuid, 4)
        await shared._read()
        assert client in shared._joining
        await shared._read()
        assert client not in shared._joining
        for each in (client, other) if company else (client,):
            assert await received(shared, each) == [1, 2, 3, 4, 5]


async def test_who_joins_under_an_open_transaction_gets_what_it_lacks_and_nobody_gets_anything_twice(
    shared, pool, pipeline
):
    with shared.subscribe(Bookmark(), Wanted()) as first:
        await shared._read_alone(first)
        await shared._read()
        async with writing(pool) as stranger:
            await stranger.take_id()
            await append(pool, pipeline.uuid)
            await shared._read()
            with shared.subscribe(Bookmark(), Wanted()) as late:
                await shared._read_alone(late)
                await append(pool, pipeline.uuid)
                await shared._read()
                await append(pool, pipeline.uuid)
                await shared._read()
                assert await received(shared, first) == await received(shared, late) == [1, 2, 3, 4]


async def test_a_client_without_room_reads_for_itself_from_where_it_was_and_joins_again(
    shared, pool, pipeline, monkeypatch
):
    monkeypatch.setattr(subscription, "FRAMES_MAX", 3)
    with shared.subscribe(Bookmark(), Wanted()) as slow, shared.subscribe(Bookmark(), Wanted()) as quick:
        for client in (slow, quick):
            await shared._read_alone(client)
        await shared._read()
        seen = await received(shared, quick)
        for _ in range(4):
            await append(pool, pipeline.uuid, 1)
            await shared._read()
            seen += await received(shared, quick)
        assert seen == [1, 2, 3, 4, 5]
        assert (slow.alone, quick.alone) == (True, False)
        assert await received(shared, slow) == [1, 2, 3]
        await shared._read_alone(slow)
        assert await received(shared, slow) == [4, 5]
        await shared._read()
        await append(pool, pipeline.uuid)
        await shared._read()
        assert await received(shared, slow) == await received(shared, quick) == [6]


async def test_events_that_a_client_does_not_want_take_no_room(shared, pool, pipeline, monkeypatch):
    monkeypatch.setattr(subscription, "FRAMES_MAX", 3)
    with shared.subscribe(Bookmark(), Wanted(types=frozenset({"pipeline.created"}))) as client:
        await shared._read_alone(client)
        await shared._read()
        for _ in range(5):
            await append(pool, pipeline.uuid)
            await shared._read()
        assert (client.alone, await received(shared, client)) == (False, [1])
