"""The parts of the protocol that all its verbs rest on: locks, and what a commit promises."""

import asyncio

import asyncpg
import pytest

from app.db import pipelines as db_pipelines
from app.db import stages as db
from app.db import workers as db_workers
from app.services import pipelines
from tests.support.locks import WAITING, held, until_waiting
from tests.support.pipelines import a_plan, submit
from tests.support.workers import a_worker, ending, requests_of

LOCK, WAIT = "SELECT lock_pipelines($1, wait => false)", "SELECT lock_pipelines($1, wait => true)"


async def test_of_several_pipelines_the_free_ones_are_locked(pool):
    one, other = await submit(pool), await submit(pool)
    async with held(pool, one), asyncio.timeout(10):
        assert await pool.fetchval(LOCK, [other.id, one.id]) == [other.id]
    assert await pool.fetchval(LOCK, [other.id, one.id]) == [one.id, other.id]


async def test_it_locks_in_id_order_and_holds_nothing_that_comes_after_what_it_waits_for(pool):
    first, *others = [await submit(pool) for _ in range(8)]
    ids = [pipeline.id for pipeline in (*others, first)]
    for _ in range(4):  # any other order might be this one by chance
        async with held(pool, first):
            locking = asyncio.create_task(pool.fetchval(WAIT, ids))
            await until_waiting(pool, 1)
            async with held(pool, *others):
                pass
        assert await locking == sorted(ids)


async def test_for_a_single_pipeline_it_waits_a_moment(pool):
    pipeline = await submit(pool)
    async with held(pool, pipeline):
        assert await pool.fetchval(LOCK, [pipeline.id]) == []
    async with held(pool, pipeline):
        locking = asyncio.create_task(pool.fetchval(LOCK, [pipeline.id]))
        await until_waiting(pool, 1)
    assert await locking == [pipeline.id]


async def test_several_that_are_all_locked_are_not_waited_for(pool):
    one, other = await submit(pool), await submit(pool)
    async with held(pool, one, other):
        locking = asyncio.create_task(pool.fetchval(LOCK, [one.id, other.id]))
        while not locking.done():
            assert not await pool.fetchval(WAITING, 1)
    assert await locking == []


async def test_whoever_comes_back_for_a_pipeline_waits_longer(pool):
    pipeline, other = await submit(pool), await submit(pool)
    async with held(pool, pipeline, other):
        locking = asyncio.create_task(pool.fetchval(WAIT, [pipeline.id]))
        await until_waiting(pool, 1)
        assert await pool.fetchval(LOCK, [other.id]) == []  # so the moment is over
    assert await locking == [pipeline.id]


async def test_what_it_locked_stays_locked_until_the_commit(pool):
    pipeline, neighbour = await submit(pool), await submit(pool)
    for lock in (LOCK, WAIT):
        for ids in ([pipeline.id], [pipeline.id, neighbour.id]):
            async with pool.acquire() as c, c.transaction():
                assert await c.fetchval(lock, ids) == ids
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await pool.execute("SELECT FROM pipelines WHERE id = $1 FOR NO KEY UPDATE NOWAIT", pipeline.id)


async def test_those_who_store_stages_do_not_wait_for_a_transition(pool):
    pipeline = await submit(pool)
    async with pool.acquire() as c, c.transaction():
        await c.fetchval(LOCK, [pipeline.id])
        await pool.execute("SELECT FROM pipelines WHERE id = $1 FOR KEY SHARE NOWAIT", pipeline.id)


async def test_whoever_appends_events_commits_to_disk_whatever_the_session_says(pool):
    pipeline, other, worker = await submit(pool), await submit(pool, start=False), await a_worker(pool)
    ended, claim = await submit(pool), await worker.start(await submit(pool))
    await worker.complete(ended, "a")
    requests = requests_of([await pipeline.stage()])
    spec, edges = pipelines.rows(a_plan(), pipelines.uuid7(), "default")
    verbs = {
        "create": lambda c: db_pipelines.create(c, spec, edges),
        "start": lambda c: db_pipelines.start(c, other.uuid),
        "claim": lambda c: db.claim(c, worker.id, requests, wait=False),
        "complete": lambda c: db.complete(c, [ending(claim)], wait=False),
        "release": lambda c: db.release(c, [ended.id], batch=10, wait=False),
        "cancel": lambda c: db_pipelines.cancel(c, pipeline.uuid),
    }
    commits = {}
    for name, verb in verbs.items():
        async with pool.acquire() as c, c.transaction():
            await c.execute("SET LOCAL synchronous_commit = off")
            await verb(c)
            commits[name] = await c.fetchval("SHOW synchronous_commit")
    assert commits == dict.fromkeys(verbs, "on")


async def test_a_beat_does_not_wait_for_the_disk(pool):
    worker = await a_worker(pool)
    async with pool.acquire() as c, c.transaction():
        await db_workers.beat(c, worker.id, 30, [])
        assert await c.fetchval("SHOW synchronous_commit") == "off"
