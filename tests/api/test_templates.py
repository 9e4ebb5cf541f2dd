"""Templates over HTTP: versions, submitting with params, and the same pipeline for the same uuid."""

import asyncio

import pytest

from tests.support.locks import until_waiting

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
BASE = "/api/v1/templates"
UUID = "0197d3a0-5c1e-7b52-9c40-3f6a8d21e0b7"
SPEC = {
    "name": "nightly",
    "params_schema": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"epochs": {"type": "integer", "default": 5}, "job": {"type": "string"}},
    },
    "pipeline": {
        "name": "nightly",
        "uuid": {"from": "params.job"},
        "stages": [{"name": "a", "task": "learn", "params": {"epochs": {"from": "params.epochs"}}}],
    },
}


@pytest.fixture
def post(client):
    async def post(path="", body=SPEC, **headers):
        return await client.post(BASE + path, json=body, headers=headers)

    return post


async def test_each_change_is_a_new_version_and_nothing_new_is_none(client, post):
    first, same = await post(), await post()
    assert (first.status_code, same.status_code) == (201, 200)
    assert first.json() == same.json()
    assert (first.json()["version"], first.json()["built_in"]) == (1, False)
    second = await post(body={**SPEC, "description": "better"})
    assert (second.status_code, second.json()["version"]) == (201, 2)
    assert second.headers["location"] == f"{BASE}/nightly?version=2"
    assert (await client.get(f"{BASE}/nightly")).json() == second.json()
    assert (await client.get(f"{BASE}/nightly?version=1")).json() == first.json()
    assert (await client.get(f"{BASE}/nightly?version=3")).status_code == 404


async def test_of_two_who_store_a_template_at_once_each_gets_a_version(post, pool):
    async with pool.acquire() as c, c.transaction():
        await c.execute(LOCK, "template default nightly")
        posts = [asyncio.create_task(post(body={**SPEC, "description": each})) for each in ("one", "other")]
        await until_waiting(pool, 2)
    answers = await asyncio.gather(*posts)
    assert sorted((each.status_code, each.json()["version"]) for each in answers) == [(201, 1), (201, 2)]


async def test_the_list_has_the_newest_of_each_and_what_is_built_in_page_by_page(client, post):
    for name in ("a", "z"):
        for description in ("", "new"):
            await post(body={**SPEC, "name": name, "description": description})
    found, cursor = [], ""
    while cursor is not None:
        page = (await client.get(f"{BASE}?limit=1{cursor and f'&cursor={cursor}'}")).json()
        found += [(item["name"], item["version"], item["built_in"]) for item in page["items"]]
        cursor = page["next_cursor"]
    assert found == [("a", 2, False), ("training", 1, True), ("z", 2, False)]


async def test_what_could_never_become_a_pipeline_is_refused_with_every_fault(post):
    pipeline = {"name": "p", "stages": [{"name": "a", "task": "laern", "params": {"x": {"from": "params.y"}}}], "b": 1}
    answer = await post(body={**SPEC, "pipeline": pipeline})
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {
        "/pipeline/b",
        "/pipeline/stages/0/task",
        "/pipeline/stages/0/params/x",
    }
    assert (await post(body={**SPEC, "name": "training"})).status_code == 409


async def test_a_submission_starts_a_pipeline_that_remembers_its_template(client, post):
    await post()
    answer = await post("/nightly/pipelines", {"params": {"epochs": 2}, "labels": {"team": "vision"}})
    pipeline = answer.json()
    assert (answer.status_code, pipeline["status"]) == (201, "running")
    assert answer.headers["location"] == f"/api/v1/pipelines/{pipeline['uuid']}"
    assert pipeline["stages"][0]["params"] == {"epochs": 2}
    found = (await client.get("/api/v1/pipelines?label=headway.template:nightly")).json()["items"]
    assert [each["uuid"] for each in found] == [pipeline["uuid"]]
    assert pipeline["labels"] == {
        "team": "vision",
        "headway.template": "nightly",
        "headway.template-version": "1",
    }


async def test_params_that_do_not_fit_are_refused_with_pointers_into_the_body(post, pool):
    await post()
    for params, pointers in [
        ({"epochs": "2", "x": 1}, {"/params/epochs", "/params/x"}),
        ({"epochs": 0}, {"/params/epochs"}),
        ({"job": "mine"}, {"/params/job"}),
    ]:
        answer = await post("/nightly/pipelines", {"params": params})
        assert (answer.status_code, {error["pointer"] for error in answer.json()["errors"]}) == (422, pointers)
    assert (await post("/nightly/pipelines", {"parms": {}})).json()["errors"][0]["code"] == "unknown_field"
    assert (await post("/nihgtly/pipelines", {})).status_code == 404
    assert (await post("/nightly/pipelines", {"version": 9})).status_code == 404
    assert await pool.fetchval("SELECT count(*) FROM pipelines") == 0


async def test_the_same_uuid_is_the_same_pipeline_with_a_key_or_without(post, pool):
    await post()
    first = await post("/nightly/pipelines", {"params": {"job": UUID}})
    for key in ({}, {"Idempotency-Key": "k"}):
        again = await post("/nightly/pipelines", {"params": {"job": UUID, "epochs": 9}}, **key)
        assert (first.json()["uuid"], again.json()["uuid"]) == (UUID, UUID)
        assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert await pool.fetchval("SELECT count(*) FROM pipelines") == 1


async def test_an_idempotency_key_counts_as_it_does_for_pipelines(post, pool):
    await post()
    answers = [await post("/nightly/pipelines", {}, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert len({answer.json()["uuid"] for answer in answers}) == 1
    reused = await post("/nightly/pipelines", {"start": False}, **{"Idempotency-Key": "k"})
    assert reused.json()["code"] == "idempotency_key_reused"
    assert await pool.fetchval("SELECT count(*) FROM pipelines") == 1


async def test_a_dry_run_stores_nothing(post, pool):
    await post()
    answer = await post("/nightly/pipelines?dry_run=true", {})
    assert (answer.status_code, answer.json()["valid"]) == (200, True)
    assert await pool.fetchval("SELECT count(*) FROM pipelines") == 0
