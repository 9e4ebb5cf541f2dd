"""One task over HTTP: submit it, cancel it, retry it, purge what is queued."""

from uuid import UUID, uuid4

import pytest

from schemas.stage import ClaimRequest
from schemas.states import Outcome
from tests.support.workers import ScriptedWorker, ending

BASE = "/api/v1/tasks"


@pytest.fixture
async def worker(pool):
    worker = ScriptedWorker(pool)
    await worker.register()
    return worker


async def claimed(worker, task):
    (claim,) = (await worker.ask([ClaimRequest(UUID(task["task_id"]), 1, uuid4())])).claims
    return claim


async def test_a_submitted_task_is_a_pipeline_of_one_stage_that_has_been_started(client, queue):
    body = {"task": "learn", "params": {"epochs": 2}, "priority": 8, "max_retries": 1, "labels": {"team": "vision"}}
    answer = await client.post(BASE, json=body)
    assert answer.status_code == 201, answer.text
    task = answer.json()
    assert answer.headers["location"] == f"{BASE}/{task['task_id']}"
    assert (await client.get(answer.headers["location"])).json() == task
    assert {name: task[name] for name in ("name", "task", "status", "priority", "max_retries")} == {
        "name": "learn",
        "task": "learn",
        "status": "queued",
        "priority": 8,
        "max_retries": 1,
    }
    pipeline = (await client.get(f"/api/v1/pipelines/{task['pipeline']}")).json()
    assert (pipeline["name"], pipeline["labels"], pipeline["stage_tasks"]) == (
        "learn",
        {"team": "vision"},
        {"learn": task["task_id"]},
    )
    assert (await queue.depths())["default"] == 1


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"task": "lern"}, "/task", "unknown_task"),
        ({"task": "learn", "params": {"epochs": 0}}, "/params/epochs", "param_invalid"),
        ({"task": "learn", "params": {"anything": {"from": "stages.a.result.b"}}}, "/params/anything", "unknown_stage"),
        ({"task": "learn", "priority": 11}, "/priority", None),
        ({"task": "learn", "depends_on": ["a"]}, "/depends_on", None),
    ],
)
async def test_what_is_wrong_with_a_task_is_pointed_at_in_its_own_body(client, pool, body, pointer, code):
    answer = await client.post(BASE, json=body)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault.get("pointer", pointer) == pointer
    assert code in (None, fault["code"])
    assert await pool.fetchval("SELECT count(*) FROM pipelines") == 0


async def test_a_submit_call_may_be_repeated_under_its_key(client, pool):
    headers = {"Idempotency-Key": "once"}
    first, second = [await client.post(BASE, json={"task": "learn"}, headers=headers) for _ in range(2)]
    assert first.json()["task_id"] == second.json()["task_id"]
    assert second.headers["idempotency-replayed"] == "true"
    assert await pool.fetchval("SELECT count(*) FROM pipelines") == 1


async def test_a_waiting_task_is_cancelled_at_once_and_can_be_retried(client, worker):
    task = (await client.post(BASE, json={"task": "learn"})).json()
    answer = await client.post(f"{BASE}/{task['task_id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    assert (await client.post(f"{BASE}/{task['task_id']}/cancel")).status_code == 409
    await worker.pool.fetch("SELECT release_pipelines(ARRAY(SELECT id FROM pipelines), 10, true)")
    answer = await client.post(f"{BASE}/{task['task_id']}/retry")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")


async def test_the_workers_are_called_to_stop_a_running_task(client, worker, redis):
    task = (await client.post(BASE, json={"task": "learn"})).json()
    claim = await claimed(worker, task)
    async with redis.pubsub() as calls:
        await calls.subscribe("headway:beat")
        assert (await calls.get_message(timeout=5))["type"] == "subscribe"
        answer = await client.post(f"{BASE}/{task['task_id']}/cancel")
        assert (await calls.get_message(timeout=5))["type"] == "message"
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert (await worker.beat(claim)).cancelled == [claim.lease_token]
    await worker.report(ending(claim, Outcome.CANCELLED))
    assert (await client.get(f"{BASE}/{task['task_id']}")).json()["status"] == "cancelled"


async def test_a_purge_cancels_what_is_queued_on_one_queue_or_on_all(client, worker):
    running = (await client.post(BASE, json={"task": "learn"})).json()
    await claimed(worker, running)
    for queue in ("training", "training", "default"):
        await client.post(BASE, json={"task": "learn", "queue": queue})
    assert (await client.post(f"{BASE}/purge", json={"queue": "training"})).json() == {"purged": 2}
    assert (await client.post(f"{BASE}/purge")).json() == {"purged": 1}
    assert (await client.post(f"{BASE}/purge", json={})).json() == {"purged": 0}
    assert (await client.get(f"{BASE}/{running['task_id']}")).json()["status"] == "running"
    assert (await client.post(f"{BASE}/purge", json={"queue": "celery"})).status_code == 422


async def test_an_unknown_task_is_not_found(client):
    for verb in ("cancel", "retry"):
        answer = await client.post(f"{BASE}/{uuid4()}/{verb}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
