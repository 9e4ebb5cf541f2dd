"""What the pipeline routes do when they are asked properly."""

from uuid import UUID, uuid4

import httpx2
from pydantic import SecretStr

from app import metrics

BASE = "/api/v1/pipelines"


async def test_a_created_pipeline_is_answered_with_its_location_and_can_be_read_there(client):
    body = {"name": "digits", "stages": [{"name": "a", "task": "learn"}, {"name": "b", "task": "learn"}]}
    answer = await client.post(BASE, json=body | {"dependencies": {"b": ["a"]}})
    assert answer.status_code == 201
    pipeline = answer.json()
    assert answer.headers["location"] == f"{BASE}/{pipeline['uuid']}"
    assert pipeline["status"] == "pending"
    assert [(stage["name"], stage["depends_on"]) for stage in pipeline["stages"]] == [("a", []), ("b", ["a"])]
    assert pipeline["stage_tasks"] == {stage["name"]: stage["task_id"] for stage in pipeline["stages"]}
    assert (await client.get(answer.headers["location"])).json() == pipeline


async def test_what_was_written_comes_back_unchanged(submit):
    params = {"note": 'quotes " \\ and ü 🚂 <b>', "anything": [0.1, -(2**63), 2**64 - 1, None, {"a/b": {"~": [[]]}}]}
    labels = {"team": "vision"}
    pipeline = await submit({"name": "a", "task": "learn", "params": params}, labels=labels, name="né 🚂")
    assert pipeline["stages"][0]["params"] == params
    assert (pipeline["name"], pipeline["labels"]) == ("né 🚂", labels)


async def test_start_releases_and_dispatches_the_roots(client, submit, queue):
    pipeline = await submit()
    answer = await client.post(f"{BASE}/{pipeline['uuid']}/start")
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert (await queue.depths())["default"] == 1
    hints = await queue.redis.xrange("headway:events")
    assert {UUID(fields[b"p"].decode()) for _, fields in hints} == {UUID(pipeline["uuid"])}


async def test_a_body_may_ask_for_the_start_itself(submit, queue):
    assert (await submit(start=True))["status"] == "running"
    assert (await queue.depths())["default"] == 1


async def test_a_second_start_does_not_fit(client, submit):
    pipeline = await submit(start=True)
    answer = await client.post(f"{BASE}/{pipeline['uuid']}/start")
    assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")


async def test_cancel_ends_what_waits_and_calls_the_workers(client, submit, redis):
    pipeline = await submit(start=True)
    async with redis.pubsub() as calls:
        await calls.subscribe("headway:beat")
        assert (await calls.get_message(timeout=5))["type"] == "subscribe"
        answer = await client.post(f"{BASE}/{pipeline['uuid']}/cancel")
        assert (await calls.get_message(timeout=5))["type"] == "message"
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")


async def test_only_what_is_not_under_way_can_be_deleted(client, submit):
    pending, running = await submit(), await submit(start=True)
    assert (await client.delete(f"{BASE}/{running['uuid']}")).status_code == 409
    assert (await client.get(f"{BASE}/{running['uuid']}")).status_code == 200
    answer = await client.delete(f"{BASE}/{pending['uuid']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await client.get(f"{BASE}/{pending['uuid']}")).status_code == 404


async def test_the_light_answer_counts_stages_by_status(client, submit):
    stages = [{"name": "a", "task": "learn"}, {"name": "b", "task": "learn", "depends_on": ["a"]}]
    pipeline = await submit(*stages, start=True)
    status = (await client.get(f"{BASE}/{pipeline['uuid']}/status")).json()
    assert status == {
        "uuid": pipeline["uuid"],
        "status": "running",
        "progress": 0,
        "counts": {"queued": 1, "pending": 1},
        "stages": {"a": "queued", "b": "pending"},
    }


async def test_every_path_below_an_unknown_pipeline_is_not_found(client):
    for method, tail in [
        ("GET", ""),
        ("GET", "/status"),
        ("GET", "/events"),
        ("GET", "/graph"),
        ("POST", "/start"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("DELETE", ""),
    ]:
        answer = await client.request(method, f"{BASE}/{uuid4()}{tail}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, tail)


async def test_a_dry_run_answers_with_the_inferred_edges_and_stores_nothing(client, pool):
    stages = [
        {"name": "a", "task": "learn"},
        {"name": "b", "task": "learn", "params": {"anything": {"from": "stages.a.result.accuracy"}}},
    ]
    answer = await client.post(f"{BASE}?dry_run=true", json={"name": "digits", "stages": stages, "start": True})
    assert answer.status_code == 200
    assert answer.json()["valid"] is True
    assert [stage["depends_on"] for stage in answer.json()["stages"]] == [[], ["a"]]
    assert await pool.fetchval("SELECT count(*) FROM pipelines") == 0


async def test_pages_follow_each_other_without_gap_or_repetition(client, submit):
    submitted = [(await submit())["uuid"] for _ in range(5)]
    for sort, expected in [("created_at", submitted), ("-created_at", submitted[::-1])]:
        seen, cursor = [], None
        while cursor is not None or not seen:
            query = {"limit": 2, "sort": sort} | ({"cursor": cursor} if cursor else {})
            page = (await client.get(BASE, params=query)).json()
            seen += [summary["uuid"] for summary in page["items"]]
            cursor = page["next_cursor"]
        assert seen == expected


async def test_filters_narrow_the_list(client, submit):
    plain = await submit()
    labelled = await submit(name="other", labels={"team": "vision", "run": "a:b"}, start=True)

    async def listed(*query: tuple[str, str]) -> list[str]:
        answer = await client.get(BASE, params=[*query, ("sort", "created_at")])
        assert answer.status_code == 200, answer.text
        return [summary["uuid"] for summary in answer.json()["items"]]

    assert await listed() == [plain["uuid"], labelled["uuid"]]
    assert await listed(("status", "running")) == [labelled["uuid"]]
    assert await listed(("status", "running"), ("status", "pending")) == [plain["uuid"], labelled["uuid"]]
    assert await listed(("status", "paused")) == []
    assert await listed(("name", "digits")) == [plain["uuid"]]
    assert await listed(("label", "team:vision"), ("label", "run:a:b")) == [labelled["uuid"]]
    assert await listed(("label", "team:vision"), ("label", "run:c")) == []
    assert await listed(("created_after", plain["created_at"])) == [labelled["uuid"]]


async def test_task_types_are_those_that_workers_registered(client):
    page = (await client.get("/api/v1/task-types")).json()
    assert [(task["name"], task["queue"]) for task in page["items"]] == [("learn", "default")]
    assert page["items"][0]["params_schema"]["$ref"]
    assert page["next_cursor"] is None


async def test_without_redis_everything_is_accepted_in_time_and_the_loss_is_counted(settings, serve):
    settings = settings.model_copy(update={"redis_url": SecretStr("unix:///nowhere/valkey.sock")})
    before = metrics.dispatch_failures._value.get()
    async with serve(settings) as (_, url), httpx2.AsyncClient(base_url=url) as client:
        body = {"name": "digits", "stages": [{"name": "a", "task": "learn"}], "start": True}
        answer = await client.post(BASE, json=body)
        assert (answer.status_code, answer.json()["status"]) == (201, "running")
        assert answer.elapsed.total_seconds() < 1
        assert (await client.post(f"{BASE}/{answer.json()['uuid']}/cancel")).status_code == 202
    assert metrics.dispatch_failures._value.get() == before + 2
