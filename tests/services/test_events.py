"""Events: numbered without a gap, in the order of the commits, however many write at once."""

import asyncio
from uuid import uuid4

import pytest

from app.errors import NotFound
from app.services import events
from tests.support import invariants
from tests.support.pipelines import DIAMOND, ONE, fan, submit
from tests.support.workers import a_worker, ending, requests_of

WORKERS = 4
WIDTH = 200
SEEN = "SELECT count(*) AS count, coalesce(max(seq), 0) AS last FROM events WHERE pipeline_id = $1"


async def test_they_are_gapless_and_in_order_while_many_write_at_once(pool):
    pipeline = await submit(pool, {**fan(WIDTH), "join": tuple(fan(WIDTH))})
    rows = [await pipeline.stage(name) for name in fan(WIDTH)]
    observed = []

    async def work(number: int) -> None:
        worker = await a_worker(pool)
        mine = rows[number::WORKERS]
        for start in range(0, len(mine), 10):
            claims = (await worker.ask(requests_of(mine[start : start + 10]))).claims
            await worker.report(*map(ending, claims))
            await pipeline.release()

    async def watch() -> None:
        while True:
            observed.append(await pool.fetchrow(SEEN, pipeline.id))

    watching = asyncio.create_task(watch())
    await asyncio.gather(*map(work, range(WORKERS)))
    watching.cancel()
    assert len(observed) > 3
    assert [row for row in observed if row["count"] != row["last"]] == []
    assert await pipeline.statuses() == dict.fromkeys(fan(WIDTH), "completed") | {"join": "queued"}
    await invariants.hold(pool)


async def test_they_are_read_in_pieces(pool):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    await worker.complete(pipeline, "a")
    whole, ended = await events.read(pool, pipeline.uuid, after=0)
    assert [event.id for event in whole] == ["1", "2", "3", "4", "5"]
    assert not ended
    first, _ = await events.read(pool, pipeline.uuid, after=0, limit=2)
    rest, _ = await events.read(pool, pipeline.uuid, after=2)
    assert first + rest == whole


async def test_the_reader_knows_when_nothing_will_follow(pool):
    pipeline, worker = await submit(pool, ONE), await a_worker(pool)
    await worker.complete(pipeline, "a")
    last = await pipeline.seq()
    assert await events.read(pool, pipeline.uuid, after=last) == ([], False)
    await pipeline.release()
    assert (await events.read(pool, pipeline.uuid, after=0, limit=last))[1] is False
    (settlement,), ended = await events.read(pool, pipeline.uuid, after=last)
    assert (settlement.type, ended) == ("pipeline.completed", True)
    assert await events.read(pool, pipeline.uuid, after=last + 1) == ([], True)


async def test_a_pipeline_that_does_not_exist_has_no_events(pool):
    with pytest.raises(NotFound):
        await events.read(pool, uuid4(), after=0)
