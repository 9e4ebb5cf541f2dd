"""Queues over HTTP: look at them, pause one, resume it."""

BASE = "/api/v1/queues"


async def statuses(client):
    return {queue["name"]: queue for queue in (await client.get(BASE)).json()["items"]}


async def test_they_come_in_the_order_in_which_workers_serve_them(client):
    queues = (await client.get(BASE)).json()["items"]
    assert [(queue["name"], queue["priority"]) for queue in queues] == [
        ("training", 10),
        ("evaluation", 7),
        ("default", 5),
        ("preprocessing", 3),
        ("maintenance", 1),
    ]


async def test_a_paused_queue_holds_its_tasks_and_a_resumed_one_dispatches_them_at_once(client, submit, queue):
    answer = await client.post(f"{BASE}/default/pause")
    assert (answer.status_code, answer.json()["paused"]) == (202, True)
    pipeline = await submit(start=True)
    assert pipeline["stages"][0]["waiting_reason"] == "the queue default is paused"
    assert (await queue.depths())["default"] == 0
    waiting = (await statuses(client))["default"]
    assert (waiting["paused"], waiting["queued"], waiting["running"]) == (True, 1, 0)

    assert (await client.post(f"{BASE}/default/pause")).status_code == 202
    answer = await client.post(f"{BASE}/default/resume")
    assert (answer.status_code, answer.json()["paused"]) == (202, False)
    assert (await queue.depths())["default"] == 1


async def test_the_others_are_not_concerned(client, submit, queue):
    await client.post(f"{BASE}/training/pause")
    await submit(start=True)
    assert (await queue.depths())["default"] == 1


async def test_a_queue_that_does_not_exist_is_not_found(client):
    for verb in ("pause", "resume"):
        answer = await client.post(f"{BASE}/celery/{verb}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "training" in answer.json()["detail"]
