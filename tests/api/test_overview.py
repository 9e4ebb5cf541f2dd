"""What runs the stages and how it goes, over HTTP: the overview, queues and workers."""

from datetime import datetime

import pytest

from app.services import stats, workers
from schemas.queue import Queue, Slot
from schemas.states import StageStatus
from tests.support.pipelines import fan, submit
from tests.support.workers import a_worker

OVERVIEW, QUEUES, WORKERS = "/api/v1/tasks/stats/overview", "/api/v1/queues", "/api/v1/workers"


async def test_an_empty_installation_has_an_overview(client):
    found = (await client.get(OVERVIEW)).json()
    assert found["by_status"] == dict.fromkeys(map(str, StageStatus), 0)
    assert found["by_queue"] == {str(queue): {} for queue in Queue}
    assert (found["by_task"], found["last_hour"]) == ({}, [])
    assert found["workers"] == {"live": 0, "draining": 0}
    assert found["slots"] == {"process": {"total": 0, "busy": 0}, "inline": {"total": 0, "busy": 0}}
    assert datetime.fromisoformat(found["counted_at"]).tzinfo


async def test_the_overview_shows_what_waits_runs_and_has_ended(client, pool):
    worker = await a_worker(pool)
    pipeline = await submit(pool, fan(4), task="train_model", queue=Queue.TRAINING, slot=Slot.PROCESS)
    await worker.complete(pipeline, "s0")
    await worker.claim(pipeline, "s1")
    while (await client.get(OVERVIEW)).json()["by_status"]["completed"] == 0:
        await stats.count_ends(pool)
    found = (await client.get(OVERVIEW)).json()
    counts = {"queued": 2, "running": 1, "completed": 1}
    assert {status: count for status, count in found["by_status"].items() if count} == counts
    assert found["by_queue"]["training"] == found["by_task"]["train_model"] == counts
    assert (found["queues"][0]["name"], found["queues"][0]["queued"]) == ("training", 2)
    assert found["slots"] == {"process": {"total": 4, "busy": 1}, "inline": {"total": 100, "busy": 0}}
    (hour,) = found["last_hour"]
    assert (hour["task"], hour["completed"], hour["failed"]) == ("train_model", 1, 0)
    assert 0 < hour["p50_s"] <= hour["max_s"]


async def test_queues_are_listed_in_the_order_in_which_workers_serve_them(client, pool):
    await submit(pool, fan(2), queue=Queue.PREPROCESSING)
    page = (await client.get(QUEUES)).json()
    assert page["next_cursor"] is None
    assert [queue["name"] for queue in page["items"]] == [
        *("training", "evaluation", "default", "preprocessing", "maintenance")
    ]
    preprocessing = page["items"][3]
    assert preprocessing.pop("oldest_age_s") == pytest.approx(0, abs=30)
    assert preprocessing == {"name": "preprocessing", "priority": 3, "paused": False, "queued": 2, "running": 0}


async def test_a_worker_shows_its_queues_slots_and_lease(client, pool):
    worker = await a_worker(pool)
    await worker.claim(await submit(pool, fan(2)), "s0", "s1")
    await worker.claim(await submit(pool, slot=Slot.PROCESS), "a")
    (found,) = (await client.get(WORKERS)).json()["items"]
    times = [datetime.fromisoformat(found.pop(name)) for name in ("started_at", "heartbeat_at", "lease_expires_at")]
    assert times == sorted(times)
    assert found == {
        "id": str(worker.id),
        "name": "scripted",
        "version": "1",
        "state": "live",
        "queues": ["training", "evaluation", "default", "preprocessing", "maintenance"],
        "slots": {"process": {"total": 4, "busy": 1}, "inline": {"total": 100, "busy": 2}},
    }


async def test_workers_that_left_are_shown_for_an_hour_after_those_that_work(client, pool):
    async def shown():
        return [(found["id"], found["state"]) for found in (await client.get(WORKERS)).json()["items"]]

    gone, dead, leaving, live = [await a_worker(pool) for _ in range(4)]
    await workers.leave(pool, leaving.id, "draining")
    await workers.leave(pool, gone.id, "stopped")
    await dead.lose_lease()
    assert await shown() == [
        (str(live.id), "live"),
        (str(leaving.id), "draining"),
        (str(dead.id), "lost"),
        (str(gone.id), "stopped"),
    ]
    await pool.execute("UPDATE workers SET heartbeat_at = heartbeat_at - interval '61 min'")
    assert await shown() == [(str(live.id), "live"), (str(leaving.id), "draining")]


@pytest.mark.parametrize("path", [OVERVIEW, QUEUES, WORKERS])
async def test_they_know_no_parameters(client, path):
    answer = await client.get(f"{path}?limit=5")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_parameter")
