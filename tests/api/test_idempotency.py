"""Idempotency-Key: a create call may be repeated until it is answered, and creates one pipeline."""

import asyncio
import json
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx2
import pytest

from app.api import idempotency as api_idempotency
from app.db.idempotency import create_once
from app.services.pipelines import rows, uuid7
from schemas.idempotency import IdempotencyKey
from tests.support.jobs import popped
from tests.support.locks import until
from tests.support.pipelines import a_plan

BASE = "/api/v1/pipelines"
BODY = {"name": "digits", "stages": [{"name": "a", "task": "learn"}], "start": True}
KEY = "7f1d0c6b-9a5e-4d07-a5f8-e6b1c2d3e4f5"


@pytest.fixture
def create(client):
    async def call(body=BODY, key=KEY, path=BASE):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await client.post(path, content=content, headers={"Idempotency-Key": key})

    return call


@asynccontextmanager
async def in_flight(pool, key=KEY):
    """Another request with the key, in the middle of its transaction until the block ends."""
    spec, edges = rows(a_plan(), uuid7(), "default")
    async with pool.acquire() as c, c.transaction():
        answer = await create_once(c, IdempotencyKey(key, b"its fingerprint"), 3600, spec, edges)
        assert (answer.known, answer.in_flight) == (False, False)
        yield


async def count(pool):
    return await pool.fetchval("SELECT count(*) FROM pipelines")


async def test_the_same_request_again_is_answered_with_the_same_pipeline(create, pool, queue):
    first, again = await create(), await create()
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await count(pool) == 1
    assert len(await popped(queue)) == 1


async def test_the_answer_shows_the_pipeline_as_it_is_by_then(client, create):
    pipeline = (await create()).json()
    await client.post(f"{BASE}/{pipeline['uuid']}/cancel")
    again = await create()
    assert (again.json()["uuid"], again.json()["status"]) == (pipeline["uuid"], "cancelled")


async def test_without_a_key_or_with_another_every_request_creates(client, create, pool):
    answers = [await client.post(BASE, json=BODY) for _ in range(2)] + [await create(key=key) for key in "ab"]
    assert [answer.status_code for answer in answers] == [201] * 4
    assert await count(pool) == 4


async def test_another_request_with_the_key_is_refused(create, pool):
    await create()
    for body, path in [
        ({**BODY, "name": "other"}, BASE),
        (json.dumps(BODY, indent=1).encode(), BASE),
        (BODY, f"{BASE}?dry_run=false"),
    ]:
        answer = await create(body, path=path)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused"), (body, path)
        assert "new key" in answer.json()["detail"]
    assert await count(pool) == 1


async def test_a_request_that_was_refused_leaves_its_key_free(create):
    assert (await create({**BODY, "stages": []})).status_code == 422
    assert (await create({**BODY, "stages": [{"name": "a", "task": "laern"}]})).status_code == 422
    assert (await create(b"{")).status_code == 400
    created = await create()
    assert created.status_code == 201
    assert "idempotency-replayed" not in created.headers


async def test_so_does_a_dry_run(create):
    assert (await create(path=f"{BASE}?dry_run=true")).status_code == 200
    assert "idempotency-replayed" not in (await create()).headers


async def test_a_request_in_flight_is_said_to_be_so_at_once(create, pool):
    async with in_flight(pool):
        answer = await create()
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_flight")
        assert answer.headers["retry-after"] == "1"
        assert answer.elapsed.total_seconds() < 1
        assert (await create(key="another")).status_code == 201
    assert (await create()).json()["code"] == "idempotency_key_reused"  # it has ended, and was not this request


async def test_a_request_that_came_to_nothing_leaves_its_key_free(create, pool):
    with pytest.raises(ZeroDivisionError):
        async with in_flight(pool):
            raise ZeroDivisionError
    assert (await create()).status_code == 201


async def test_of_many_requests_at_once_one_creates(base_url, pool, queue):
    limits = httpx2.Limits(max_connections=30)
    async with httpx2.AsyncClient(base_url=base_url, limits=limits, headers={"Idempotency-Key": KEY}) as client:
        for _ in range(3):
            answers = await asyncio.gather(*(client.post(BASE, json=BODY) for _ in range(30)))
            told = {(answer.status_code, answer.json().get("code")) for answer in answers}
            assert (201, None) in told
            assert told <= {(201, None), (409, "idempotency_key_in_flight")}
            created = [answer.json() for answer in answers if answer.status_code == 201]
            assert len({pipeline["uuid"] for pipeline in created}) == 1
    assert await count(pool) == 1
    assert len(await popped(queue)) == 1


async def test_an_answer_that_was_lost_can_be_asked_for_again(base_url, create, pool):
    address, body = urlsplit(base_url), json.dumps(BODY).encode()
    head = f"POST {BASE} HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(head.encode() + body)
    await writer.drain()
    await until(lambda: pool.fetchval("SELECT EXISTS (SELECT FROM pipelines)"))
    writer.transport.abort()
    again = await create()
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json()["uuid"] == str(await pool.fetchval("SELECT uuid FROM pipelines"))


async def test_a_crash_between_commit_and_answer_leaves_the_pipeline_to_the_next_call(create, pool, monkeypatch):
    async def crash(*_):
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(api_idempotency, "after_commit", crash)
        assert (await create()).status_code == 500
    again = await create()
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert await count(pool) == 1


async def test_a_repetition_is_answered_even_if_the_request_would_be_refused_by_now(create, pool):
    first = await create()
    await pool.execute("DELETE FROM task_types")
    assert (await create()).json()["uuid"] == first.json()["uuid"]
    assert (await create(key="another")).status_code == 422


async def test_what_was_deleted_is_gone_and_not_created_again(client, create, pool):
    pipeline = (await create({**BODY, "start": False})).json()
    await client.delete(f"{BASE}/{pipeline['uuid']}")
    again = await create({**BODY, "start": False})
    assert (again.status_code, again.json()["code"]) == (410, "gone")
    assert pipeline["uuid"] in again.json()["detail"]
    assert await count(pool) == 0


async def test_after_24_hours_the_key_is_free_pruned_or_not(create, pool):
    first = await create()
    kept = await pool.fetchval("SELECT expires_at - clock_timestamp() FROM idempotency_keys")
    assert 86_400 - 60 < kept.total_seconds() <= 86_400
    await pool.execute("UPDATE idempotency_keys SET expires_at = clock_timestamp()")
    second = await create({**BODY, "name": "other"})
    assert second.status_code == 201
    assert second.json()["uuid"] != first.json()["uuid"]
    assert (await create({**BODY, "name": "other"})).json()["uuid"] == second.json()["uuid"]


@pytest.mark.parametrize("key", ["", "a b", "a\tb", "é", "k" * 256, '"a b"'])
async def test_what_is_no_key_is_refused(client, pool, key):
    answer = await client.post(BASE, json=BODY, headers={"Idempotency-Key": key.encode()})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_invalid")
    assert await count(pool) == 0


async def test_two_keys_are_refused(client, pool):
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await client.post(BASE, json=BODY, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_invalid")
    assert await count(pool) == 0


@pytest.mark.parametrize("key", ["k", "!" * 255, '"quoted"', "~"])
async def test_anything_of_visible_ascii_is_a_key(create, key):
    assert (await create(key=key)).status_code == 201
    assert (await create(key=key)).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    "code", ["gone", "idempotency_key_invalid", "idempotency_key_reused", "idempotency_key_in_flight"]
)
async def test_its_problems_explain_themselves(client, code):
    page = await client.get(f"/problems/{code}")
    assert page.status_code == 200
    assert page.text.startswith(code)
