"""PATCH: what is left out stays, what is given replaces, and a new priority counts at once for what is queued."""

import json
from uuid import uuid4

import pytest

from app.queue import PRIORITY_BOOST_MS
from app.scheduler.dispatcher import Dispatcher
from app.services import queues
from schemas.queue import Queue
from tests.support.jobs import pop, popped
from tests.support.locks import held
from tests.support.pipelines import all_queued, submitted
from tests.support.workers import a_worker

BASE = "/api/v1/pipelines"
JOBS = "headway:queue:default:inline:learn"
WAKE = "headway:wake:default:inline:learn"
AGE = "UPDATE stages SET queued_at = queued_at - interval '10 s' WHERE status = 'queued'"


@pytest.fixture
def change(client):
    async def call(pipeline, **fields):
        answer = await client.patch(f"{BASE}/{pipeline['uuid']}", json=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return call


async def test_what_is_left_out_stays(submit, change):
    before = await submit(name="old", description="why", labels={"team": "vision"}, priority=3)
    assert await change(before, name="new") == before | {"name": "new"}
    assert await change(before, description="") == before | {"name": "new", "description": ""}
    assert await change(before, priority=7) == before | {"name": "new", "description": "", "priority": 7}


async def test_labels_replace_all_labels(submit, change):
    pipeline = await submit(labels={"team": "vision", "run": "1"})
    assert (await change(pipeline, labels={"run": "2"}))["labels"] == {"run": "2"}
    assert (await change(pipeline, labels={}))["labels"] == {}


async def test_an_empty_change_changes_nothing(submit, change, pool):
    """A client that sends the difference of two states need not know the case of no difference."""
    pipeline = await submit(start=True)
    before = await (stored := await submitted(pool, pipeline["uuid"])).everything()
    assert await change(pipeline) == pipeline
    assert await stored.everything() == before


async def test_names_and_labels_are_for_people_and_may_change_after_the_end(client, submit, change):
    pipeline = await submit(start=True)
    ended = (await client.post(f"{BASE}/{pipeline['uuid']}/cancel")).json()
    assert ended["status"] == "cancelled"
    assert await change(ended, name="a bad idea", priority=1) == ended | {"name": "a bad idea", "priority": 1}


async def test_a_new_priority_moves_what_is_queued_to_its_new_place_at_once(submit, change, queue):
    first, second = await submit(start=True), await submit(start=True)
    changed = await change(second, priority=6)
    ids = [pipeline["stages"][0]["task_id"] for pipeline in (second, first)]
    assert changed["stages"][0]["queued_at"] == second["stages"][0]["queued_at"]
    assert [str(stage) for stage in await popped(queue)] == ids


async def test_it_adds_no_job_and_wakes_nobody(submit, change, redis, queue):
    """The job is there already, and so is the marker unless workers are busy; there is nothing new to wake up for."""
    pipeline = await submit({"name": "a", "task": "learn"}, {"name": "b", "task": "learn"}, start=True)
    await redis.delete(WAKE)
    scores = dict(await redis.zrange(JOBS, 0, -1, withscores=True))
    await change(pipeline, priority=8)
    assert dict(await redis.zrange(JOBS, 0, -1, withscores=True)) == {
        job: score - 3 * PRIORITY_BOOST_MS for job, score in scores.items()
    }
    assert not await redis.exists(WAKE)


async def test_a_job_that_redis_had_lost_comes_back_with_it(submit, change, redis, queue):
    pipeline = await submit(start=True)
    await redis.flushall()
    await change(pipeline, priority=8)
    assert len(await popped(queue)) == 1


async def test_a_job_in_a_workers_hands_stays_there_and_gets_its_place_from_the_sweep_if_it_returns(
    submit, change, pool, redis, queue
):
    pipeline = await submit(start=True)
    await pool.execute(AGE)  # the sweep leaves alone what is younger than two seconds
    sweep = Dispatcher(pool, queue)
    await sweep.run_once()
    jobs = await pop(queue)
    await change(pipeline, priority=8)
    assert await redis.zcard(JOBS) == 0
    await queue.put_back(jobs)  # somebody held the pipeline, so it was not claimed
    ((_, old),) = await redis.zrange(JOBS, 0, -1, withscores=True)
    await sweep.run_once()
    assert await redis.zrange(JOBS, 0, -1, withscores=True) == [
        (jobs[0].id.encode(), old - 3 * PRIORITY_BOOST_MS),
    ]


async def test_whatever_is_dispatched_later_has_the_new_priority(client, submit, change, pool):
    chain = [{"name": "a", "task": "learn"}, {"name": "b", "task": "learn", "depends_on": ["a"]}]
    pending, running = await submit(), await submit(*chain, start=True)
    for pipeline in (pending, running):
        await change(pipeline, priority=9)
    await client.post(f"{BASE}/{pending['uuid']}/start")
    stored = await submitted(pool, running["uuid"])
    await (await a_worker(pool)).complete(stored, "a")
    assert [job.priority for job in (await stored.release()).queued] == [9]
    assert [job.priority for job in await all_queued(pool)] == [9, 9]


async def test_a_paused_pipeline_is_dispatched_by_its_resume_and_not_before(client, submit, change, redis, queue):
    pipeline = await submit(start=True, priority=5)
    ((_, old),) = await redis.zrange(JOBS, 0, -1, withscores=True)
    await client.post(f"{BASE}/{pipeline['uuid']}/pause")
    await redis.flushall()
    await change(pipeline, priority=9)
    assert await popped(queue) == []
    await client.post(f"{BASE}/{pipeline['uuid']}/resume")
    assert [job.score for job in await pop(queue)] == [old - 4 * PRIORITY_BOOST_MS]


async def test_nor_is_what_waits_on_a_paused_queue(submit, change, redis, queue, pool):
    pipeline = await submit(
        {"name": "a", "task": "learn"}, {"name": "b", "task": "learn", "queue": "training"}, start=True
    )
    await redis.flushall()
    await queues.pause(pool, Queue.TRAINING)
    await change(pipeline, priority=9)
    assert [str(stage) for stage in await popped(queue)] == [pipeline["stage_tasks"]["a"]]


async def test_a_change_of_words_alone_dispatches_nothing(submit, change, redis, queue):
    pipeline = await submit(start=True, priority=5)
    await redis.flushall()
    await change(pipeline, name="new", priority=5)
    assert await popped(queue) == []


REFUSED = {
    "null is no value": ({"name": None}, "invalid_value", "/name"),
    "labels cannot be removed by null": ({"labels": {"team": None}}, "invalid_value", "/labels"),
    "nor all of them": ({"labels": None}, "invalid_value", "/labels"),
    "an empty name": ({"name": ""}, "invalid_value", "/name"),
    "a name of 129": ({"name": "n" * 129}, "invalid_value", "/name"),
    "priority 0": ({"priority": 0}, "invalid_value", "/priority"),
    "priority 11": ({"priority": 11}, "invalid_value", "/priority"),
    "a field of the server": ({"status": "completed"}, "unknown_field", "/status"),
    "stages": ({"stages": []}, "unknown_field", "/stages"),
    "a line end in the name": ({"name": "a\nb"}, "bad_character", "/name"),
    "a NUL in the description": ({"description": "\0"}, "bad_character", "/description"),
    "a NUL in a label": ({"labels": {"team": "\0"}}, "bad_character", "/labels/team"),
    "a list": ([], "invalid_value", ""),
}


async def test_what_cannot_be_stored_is_refused_and_changes_nothing(client, submit):
    pipeline = await submit(labels={"team": "vision"})
    got = {}
    for name, (body, *_) in REFUSED.items():
        answer = await client.patch(f"{BASE}/{pipeline['uuid']}", content=json.dumps(body).encode())
        assert answer.status_code == 422, (name, answer.text)
        fault = answer.json()["errors"][0]
        got[name] = (fault["code"], fault["pointer"])
    assert got == {name: (code, pointer) for name, (_, code, pointer) in REFUSED.items()}
    assert (await client.get(f"{BASE}/{pipeline['uuid']}")).json() == pipeline


async def test_it_waits_for_whoever_holds_the_pipeline_but_not_for_ever(client, submit, pool):
    pipeline = await submit()
    async with held(pool, await submitted(pool, pipeline["uuid"])):
        answer = await client.patch(f"{BASE}/{pipeline['uuid']}", json={"name": "new"})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]


async def test_nothing_can_be_changed_that_is_not_there(client):
    for body in ({}, {"name": "new"}):
        answer = await client.patch(f"{BASE}/{uuid4()}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
