"""Keys in Postgres: stored with their pipeline or not at all, and everybody has their own."""

import pytest

from app.errors import KeyReused
from app.services import idempotency
from schemas.idempotency import IdempotencyKey
from tests.support.pipelines import a_plan

KEY = IdempotencyKey("key", b"a fingerprint")


async def test_a_key_belongs_to_a_project(pool):
    mine = await idempotency.create(pool, a_plan(), KEY, project="mine")
    assert await idempotency.find(pool, KEY, project="yours") is None
    yours = await idempotency.create(pool, a_plan(), IdempotencyKey("key", b"another"), project="yours")
    assert mine.pipeline != yours.pipeline
    assert (await idempotency.find(pool, KEY, project="mine")).pipeline == mine.pipeline


async def test_the_first_call_names_what_is_to_be_dispatched_and_a_repetition_names_nothing(pool):
    first, again = [await idempotency.create(pool, a_plan(), KEY) for _ in range(2)]
    assert (len(first.transition.queued), first.replayed) == (1, False)
    assert (again.transition.queued, again.transition.hints, again.replayed) == ([], [], True)
    assert again.pipeline == first.pipeline


async def test_another_request_is_refused_also_when_both_got_past_the_first_look(pool):
    await idempotency.create(pool, a_plan(), KEY)
    with pytest.raises(KeyReused):
        await idempotency.create(pool, a_plan(), IdempotencyKey("key", b"another"))


async def test_a_pipeline_that_cannot_be_stored_stores_no_key(pool):
    with pytest.raises(Exception, match="pipeline_name_check"):
        await idempotency.create(pool, a_plan(name=""), KEY)
    assert await idempotency.find(pool, KEY) is None
