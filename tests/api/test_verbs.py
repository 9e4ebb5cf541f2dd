"""Pause, resume and retry through HTTP: 202 with the pipeline as it now is, 409 where the verb does not fit."""

import pytest

from tests.support.jobs import popped
from tests.support.pipelines import submitted
from tests.support.workers import a_worker

BASE = "/api/v1/pipelines"
CHAIN = ({"name": "a", "task": "learn"}, {"name": "b", "task": "learn", "depends_on": ["a"]})


@pytest.fixture
def verb(client):
    async def call(name, pipeline):
        answer = await client.post(f"{BASE}/{pipeline['uuid']}/{name}")
        return answer.status_code, answer.json()

    return call


async def test_a_paused_pipeline_says_why_its_stages_wait(submit, verb):
    code, pipeline = await verb("pause", await submit(*CHAIN, start=True))
    assert (code, pipeline["status"]) == (202, "paused")
    reasons = {stage["name"]: stage["waiting_reason"] for stage in pipeline["stages"]}
    assert reasons == {"a": "the pipeline is paused", "b": "waits for a"}


async def test_a_resume_dispatches_what_has_waited(submit, verb, queue):
    pipeline = await submit(start=True)
    await verb("pause", pipeline)
    assert len(await popped(queue)) == 1  # a worker has met the pause: it got the job, and no claim
    await queue.redis.delete("headway:inflight", "headway:homes")
    code, pipeline = await verb("resume", pipeline)
    assert (code, pipeline["status"]) == (202, "running")
    assert [str(stage) for stage in await popped(queue)] == [pipeline["stages"][0]["task_id"]]


async def test_a_retry_goes_on_where_it_failed_and_keeps_what_has_completed(submit, verb, queue, pool):
    pipeline = await submit(*CHAIN, start=True)
    stored, worker = await submitted(pool, pipeline["uuid"]), await a_worker(pool)
    await worker.complete(stored, "a")
    await stored.release()
    await worker.fail(stored, "b")
    await stored.release()
    await queue.redis.flushall()
    code, pipeline = await verb("retry", pipeline)
    assert (code, pipeline["status"], pipeline["error"]) == (202, "running", None)
    assert {stage["name"]: stage["status"] for stage in pipeline["stages"]} == {"a": "completed", "b": "queued"}
    assert pipeline["results"] == {"a": {"answer": 42}}
    assert [str(stage) for stage in await popped(queue)] == [pipeline["stage_tasks"]["b"]]


async def test_each_of_them_tells_the_streams(submit, verb, queue):
    pipeline = await submit(start=True)
    await verb("pause", pipeline)
    await verb("resume", pipeline)
    hints = await queue.redis.xrange("headway:events")
    assert [int(fields[b"s"]) for _, fields in hints] == [3, 4, 5]  # started, paused, resumed


@pytest.mark.parametrize(
    ("state", "refused"),
    [
        ("pending", ["pause", "resume", "retry"]),
        ("running", ["resume", "retry"]),
        ("paused", ["pause", "retry"]),
        ("cancelled", ["pause", "resume"]),
    ],
)
async def test_a_verb_that_does_not_fit_is_a_conflict_that_names_the_state_and_changes_nothing(
    submit, verb, client, state, refused
):
    pipeline = await submit(start=state != "pending")
    if state in {"paused", "cancelled"}:
        await verb({"paused": "pause", "cancelled": "cancel"}[state], pipeline)
    before = (await client.get(f"{BASE}/{pipeline['uuid']}")).json()
    for name in refused:
        code, problem = await verb(name, pipeline)
        assert (code, problem["code"]) == (409, "state_conflict")
        assert state in problem["detail"]
    assert (await client.get(f"{BASE}/{pipeline['uuid']}")).json() == before
