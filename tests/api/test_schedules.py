"""Schedules over HTTP: what is refused, what is answered, and changing them."""

import pytest

BASE = "/api/v1/schedules"
SPEC = {
    "name": "nightly",
    "cron": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "pipeline": {"name": "p", "stages": [{"name": "a", "task": "learn", "params": {"epochs": 3}}]},
}


@pytest.fixture
def post(client):
    async def post(**fields):
        return await client.post(BASE, json={**SPEC, **fields})

    return post


async def test_it_is_stored_shown_listed_and_deleted(client, post):
    created = await post()
    assert (created.status_code, created.headers["location"]) == (201, f"{BASE}/nightly")
    schedule = created.json()
    assert (schedule["overlap"], schedule["catch_up"], schedule["slots"]) == ("skip", "latest", [])
    assert schedule["next_run_at"].endswith((":30:00Z", ":30:00+00:00"))
    assert (await client.get(f"{BASE}/nightly")).json() == schedule
    await post(name="weekly")
    first = (await client.get(f"{BASE}?limit=1")).json()
    second = (await client.get(f"{BASE}?limit=1&cursor={first['next_cursor']}")).json()
    names = [item["name"] for page in (first, second) for item in page["items"]]
    assert (names, second["next_cursor"]) == (["nightly", "weekly"], None)
    assert (await client.delete(f"{BASE}/nightly")).status_code == 204
    for answer in (await client.get(f"{BASE}/nightly"), await client.delete(f"{BASE}/nightly")):
        assert answer.status_code == 404


async def test_every_fault_is_told_with_its_place(client, post, pool):
    answer = await post(
        cron="61 * * * *",
        timezone="Berlin",
        pipeline={"name": "p", "stages": [{"name": "a", "task": "laern"}], "colour": "red"},
    )
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/cron", "/timezone", "/pipeline/colour"}
    for fields, pointer in [
        ({"cron": "0 0 30 2 *"}, "/cron"),
        ({"template": "training"}, "/template"),
        ({"pipeline": None}, "/template"),
        ({"params": {"x": 1}}, "/pipeline"),
        ({"pipeline": None, "template": "trainnig"}, "/template"),
        ({"pipeline": None, "template": "training", "version": 9}, "/version"),
        ({"pipeline": None, "template": "training", "params": {"keep_best_n": 0}}, "/params/keep_best_n"),
        ({"overlap": "replace"}, "/overlap"),
        ({"catch_up_max": 101}, "/catch_up_max"),
        ({"name": "Nightly"}, "/name"),
        ({"description": "\0"}, "/description"),
        ({"crno": 1}, "/crno"),
    ]:
        answer = await post(**fields)
        assert answer.status_code == 422, fields
        assert pointer in {error["pointer"] for error in answer.json()["errors"]}, (fields, answer.json())
    assert await pool.fetchval("SELECT count(*) FROM schedules") == 0


async def test_a_second_one_of_a_name_is_a_conflict(post):
    await post()
    assert (await post()).status_code == 409


async def test_it_is_changed_paused_and_resumed(client, post):
    async def patch(**fields):
        return await client.patch(f"{BASE}/nightly", json=fields)

    before = (await post()).json()
    paused = (await patch(paused=True)).json()
    assert (paused["paused"], paused["next_run_at"]) == (True, None)
    resumed = (await patch(paused=False, overlap="buffer_one")).json()
    assert (resumed["next_run_at"], resumed["overlap"]) == (before["next_run_at"], "buffer_one")
    moved = (await patch(timezone="UTC")).json()
    assert moved["next_run_at"] != before["next_run_at"]
    assert moved["pipeline"] == before["pipeline"]
    for fields, pointer in [({"cron": "x"}, "/cron"), ({"template": "nope"}, "/template"), ({"nmae": 1}, "/nmae")]:
        answer = await patch(**fields)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await client.get(f"{BASE}/nightly")).json() == moved


async def test_a_pipeline_and_a_template_take_each_others_place(client, post):
    template = {"name": "t", "pipeline": SPEC["pipeline"]}
    assert (await client.post("/api/v1/templates", json=template)).status_code == 201
    await post()
    changed = (await client.patch(f"{BASE}/nightly", json={"template": "t", "version": 1})).json()
    assert (changed["template"], changed["version"], changed["pipeline"]) == ("t", 1, None)
    back = (await client.patch(f"{BASE}/nightly", json={"pipeline": SPEC["pipeline"]})).json()
    assert (back["template"], back["version"], back["pipeline"]) == (None, None, SPEC["pipeline"])


async def test_another_template_does_not_inherit_the_version_of_the_one_before(client, post):
    for name, description in (("t", "one"), ("t", "two"), ("other", "")):
        template = {"name": name, "description": description, "pipeline": SPEC["pipeline"]}
        assert (await client.post("/api/v1/templates", json=template)).status_code == 201
    await post(pipeline=None, template="t", version=2)
    changed = await client.patch(f"{BASE}/nightly", json={"template": "other"})
    assert changed.status_code == 200
    assert (changed.json()["template"], changed.json()["version"]) == ("other", None)
    await client.patch(f"{BASE}/nightly", json={"template": "t", "version": 1})
    kept = (await client.patch(f"{BASE}/nightly", json={"overlap": "skip"})).json()
    assert (kept["template"], kept["version"]) == ("t", 1)


async def test_what_nothing_can_be_called_is_not_there(client):
    for name in ("%00", "%C3%A9", "a" * 300, "A", "a%20b"):
        for method, path in [
            ("GET", f"{BASE}/{name}"),
            ("PATCH", f"{BASE}/{name}"),
            ("DELETE", f"{BASE}/{name}"),
            ("GET", f"/api/v1/templates/{name}"),
            ("POST", f"/api/v1/templates/{name}/pipelines"),
        ]:
            answer = await client.request(method, path, json={} if method in {"PATCH", "POST"} else None)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, path)


async def test_a_cursor_that_is_none_of_ours_is_refused(client):
    for cursor in ("x", "WyJcdTAwMDAiXQ", "WyJhIiwiYiJd"):
        for path in (BASE, "/api/v1/templates"):
            answer = await client.get(f"{path}?cursor={cursor}")
            assert answer.json()["errors"][0]["code"] == "cursor_invalid", cursor


async def test_periodic_tasks_are_listed(client):
    answer = await client.get("/api/v1/periodic-tasks")
    assert answer.json() == {"items": [], "next_cursor": None}
