"""The pruner: what has expired goes, in small batches; what has not stays."""

import asyncio

import pytest

import app.scheduler.pruner
from app.scheduler.pruner import Pruner
from app.services import idempotency
from schemas.idempotency import IdempotencyKey
from tests.support.pipelines import a_plan

EXPIRE = "UPDATE idempotency_keys SET expires_at = clock_timestamp() - interval '1 s' WHERE key = ANY ($1)"


@pytest.fixture
async def keys(pool):
    keys = [IdempotencyKey(f"key-{number}", b"") for number in range(7)]
    for key in keys:
        await idempotency.create(pool, a_plan(), key)
    return keys


async def test_keys_that_have_expired_are_forgotten_and_their_pipelines_stay(pool, keys):
    await pool.execute(EXPIRE, [key.key for key in keys[:3]])
    assert await Pruner(pool).run_once() == 3
    assert await Pruner(pool).run_once() == 0
    assert await pool.fetch("SELECT key FROM idempotency_keys ORDER BY key") == [(key.key,) for key in keys[3:]]
    assert await pool.fetchval("SELECT count(*) FROM pipelines") == 7


async def test_it_takes_them_batch_by_batch(pool, keys, monkeypatch):
    monkeypatch.setattr(app.scheduler.pruner, "BATCH", 2)
    await pool.execute(EXPIRE, [key.key for key in keys])
    assert await Pruner(pool).run_once() == 7


async def test_two_schedulers_do_not_wait_for_each_other(pool, keys):
    await pool.execute(EXPIRE, [key.key for key in keys])
    async with pool.acquire() as c, c.transaction():
        await c.execute("SELECT FROM idempotency_keys WHERE key = $1 FOR UPDATE", keys[0].key)
        assert await asyncio.wait_for(Pruner(pool).run_once(), 5) == 6
    assert await Pruner(pool).run_once() == 1
