"""Tasks: stages seen on their own, in lists that end, and one at a time."""

from uuid import uuid4

import pytest

from app.db import tasks as db
from app.services import queues
from schemas.queue import Queue
from schemas.states import Outcome
from tests.support.pipelines import CHAIN, PAIR, fan, submit
from tests.support.workers import a_worker, ending, loss

BASE = "/api/v1/tasks"


@pytest.fixture
def listed(client):
    """The names of all tasks that a query finds, page after page, and how many pages that took."""

    async def listed(*query):
        names, cursor, pages = [], None, 0
        while cursor is not None or pages == 0:
            parameters = [*query, *([("cursor", cursor)] if cursor else [])]
            answer = await client.get(BASE, params=parameters)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            names += [f"{task['pipeline_name']}/{task['name']}" for task in page["items"]]
            cursor, pages = page["next_cursor"], pages + 1
        return names, pages

    return listed


async def test_a_stage_is_a_task_by_the_id_that_its_pipeline_names(client, pool):
    pipeline, worker = await submit(pool, CHAIN, priority=7, max_retries=2, retry_delay_s=5.0), await a_worker(pool)
    await worker.start(pipeline)
    answer = await client.get(f"/api/v1/pipelines/{pipeline.uuid}")
    stage = answer.json()["stages"][0]
    task = (await client.get(f"{BASE}/{answer.json()['stage_tasks']['a']}")).json()
    assert task.items() >= stage.items()
    assert (task["pipeline"], task["pipeline_name"], task["priority"]) == (str(pipeline.uuid), "digits", 7)
    assert (task["max_retries"], task["retry_delay"], task["timeout"], task["retry_at"]) == (2, 5, 60, None)
    assert (task["queue_timeout"], task["trigger_rule"], task["allow_failure"]) == (None, "all_completed", False)


async def test_a_task_tells_of_all_its_attempts(client, pool):
    pipeline, worker = await submit(pool, max_retries=2), await a_worker(pool)
    await worker.report(loss(await worker.start(pipeline)))
    await pipeline.release()
    await worker.report(ending(await worker.start(pipeline), Outcome.FAILED, retry_delay_s=0))
    await pipeline.release()
    await worker.start(pipeline)
    task = (await client.get(f"{BASE}/{(await pipeline.stage())['uuid']}")).json()
    told = [(each["attempt"], each["outcome"], each["error"], each["worker"]) for each in task["attempts"]]
    assert told == [
        (1, "lost", {"code": "x", "message": "broke"}, "scripted"),
        (2, "failed", {"code": "x", "message": "broke"}, "scripted"),
        (3, None, None, "scripted"),
    ]
    assert [each["finished_at"] is None for each in task["attempts"]] == [False, False, True]
    assert {each["executor"] for each in task["attempts"]} == {"local"}


async def test_a_task_that_is_retried_says_when(client, pool):
    pipeline, worker = await submit(pool, max_retries=1), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=60)
    task = (await client.get(f"{BASE}/{(await pipeline.stage())['uuid']}")).json()
    assert (task["status"], task["waiting_reason"]) == ("retrying", "waits for its next attempt")
    assert task["retry_at"] > task["attempts"][0]["finished_at"]


async def test_a_task_says_what_it_waits_for(client, pool):
    pipeline, worker = await submit(pool, {"a": (), "b": (), "c": ("a", "b")}), await a_worker(pool)
    await worker.complete(pipeline, "a")
    items = (await client.get(BASE)).json()["items"]
    assert {task["name"]: task["waiting_reason"] for task in items} == {
        "a": None,
        "b": "waits for a free slot on the queue default",
        "c": "waits for b",
    }
    assert {task["name"]: task["depends_on"] for task in items} == {"a": [], "b": [], "c": ["a", "b"]}
    one = (await client.get(f"{BASE}/{(await pipeline.stage('c'))['uuid']}")).json()
    assert one.items() >= items[0].items()


async def test_a_task_that_no_free_slot_would_help_says_why(client, pool):
    pipeline = await submit(pool)
    path = f"{BASE}/{(await pipeline.stage())['uuid']}"
    await a_worker(pool, lease_s=-1)
    assert (await client.get(path)).json()["waiting_reason"] == "no live worker serves the queue default"
    await a_worker(pool)
    await pool.execute("UPDATE workers SET tasks = '{other}'")
    reason = (await client.get(path)).json()["waiting_reason"]
    assert reason == "no live worker of the queue default knows the task noop"


async def test_a_task_of_a_paused_queue_says_so_there_and_in_its_pipeline(client, pool):
    pipeline = await submit(pool)
    await queues.pause(pool, Queue.DEFAULT)
    task = (await client.get(f"{BASE}/{(await pipeline.stage())['uuid']}")).json()
    stage = (await client.get(f"/api/v1/pipelines/{pipeline.uuid}")).json()["stages"][0]
    assert task["waiting_reason"] == stage["waiting_reason"] == "the queue default is paused"


async def test_the_list_has_the_newest_first_and_pages_follow_without_gap_or_repetition(pool, listed):
    for name in ("old", "new"):
        await submit(pool, CHAIN, name=name)
    everything = ["new/c", "new/b", "new/a", "old/c", "old/b", "old/a"]
    assert await listed() == (everything, 1)
    for limit in (1, 2, 4, 5, 6, 7):
        assert (await listed(("limit", limit)))[0] == everything


async def test_filters_narrow_the_list(pool, listed):
    first, worker = await submit(pool, fan(3), name="first"), await a_worker(pool)
    await submit(pool, {"a": (), "b": ("a",)}, name="second", task="train_model", queue="training")
    await worker.complete(first, "s0")
    await worker.fail(first, "s1")

    async def found(*query):
        return (await listed(*query))[0]

    assert await found(("status", "completed")) == ["first/s0"]
    assert await found(("status", "failed")) == ["first/s1"]
    assert await found(("status", "queued")) == ["second/a", "first/s2"]
    assert await found(("status", "queued"), ("status", "failed")) == ["second/a", "first/s2", "first/s1"]
    assert await found(("status", "failed"), ("status", "completed")) == ["first/s1", "first/s0"]
    assert await found(("status", "running")) == []
    assert await found(("status", "skipped"), ("status", "skipped")) == []
    assert await found(("task", "train_model")) == ["second/b", "second/a"]
    assert await found(("queue", "default")) == ["first/s2", "first/s1", "first/s0"]
    assert await found(("queue", "training"), ("status", "pending")) == ["second/b"]
    assert await found(("pipeline", str(first.uuid))) == ["first/s2", "first/s1", "first/s0"]
    assert await found(("pipeline", str(first.uuid)), ("status", "queued"), ("limit", 1)) == ["first/s2"]
    assert await found(("pipeline", str(uuid4()))) == []


async def test_a_page_that_looked_at_enough_is_short_and_the_walk_goes_on(pool, listed, monkeypatch):
    """Whatever the filters, and however few stages a page may look at, each match is found once, in order."""
    monkeypatch.setattr(db, "WALKED_MAX", 4)
    worker = await a_worker(pool)
    for number in range(6):
        pipeline = await submit(pool, fan(4), name=f"p{number}", task="even" if number % 2 == 0 else "odd")
        await worker.complete(pipeline, *(["s0", "s1"] if number < 3 else ["s0"]))
        await worker.fail(pipeline, "s2")
    for query, expected in {
        (("task", "even"),): [f"p{n}/s{s}" for n in (4, 2, 0) for s in (3, 2, 1, 0)],
        (("status", "completed"),): ["p5/s0", "p4/s0", "p3/s0", "p2/s1", "p2/s0", "p1/s1", "p1/s0", "p0/s1", "p0/s0"],
        (("status", "failed"), ("task", "odd")): ["p5/s2", "p3/s2", "p1/s2"],
        (("status", "failed"), ("status", "queued"), ("task", "even")): [
            *("p4/s3", "p4/s2", "p4/s1", "p2/s3", "p2/s2", "p0/s3", "p0/s2"),
        ],
    }.items():
        for limit in (1, 2, 3, 200):
            found, pages = await listed(*query, ("limit", limit))
            assert found == expected, (query, limit)
            assert pages > 1


async def test_a_page_of_very_large_tasks_is_short(pool, listed, monkeypatch):
    monkeypatch.setattr(db, "PAGE_BYTES", 1_000)
    await submit(pool, fan(3), params={"note": "n" * 2_000})
    assert await listed() == (["digits/s2", "digits/s1", "digits/s0"], 3)


async def test_a_result_can_be_read_when_the_task_has_ended(client, pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    paths = {name: f"{BASE}/{(await pipeline.stage(name))['uuid']}/result" for name in "ab"}
    waiting = await client.get(paths["a"])
    a, b = await worker.claim(pipeline, "a", "b")
    running = await client.get(paths["a"])
    assert [(each.status_code, each.json()["code"]) for each in (waiting, running)] == [(409, "state_conflict")] * 2
    await worker.report(ending(a), ending(b, Outcome.FAILED))
    assert (await client.get(paths["a"])).json() == {"status": "completed", "result": {"answer": 42}, "error": None}
    failed = await client.get(paths["b"])
    assert failed.status_code == 200
    assert failed.json() == {"status": "failed", "result": None, "error": {"code": "x", "message": "broke"}}


async def test_what_never_ran_has_a_result_without_a_value(client, pool):
    chain, other, worker = await submit(pool, CHAIN), await submit(pool), await a_worker(pool)
    await worker.fail(chain, "a")
    await chain.release()
    await client.post(f"/api/v1/pipelines/{other.uuid}/cancel")
    skipped = (await client.get(f"{BASE}/{(await chain.stage('b'))['uuid']}/result")).json()
    assert (skipped["status"], skipped["result"], skipped["error"]["code"]) == ("skipped", None, "dependency_failed")
    cancelled = (await client.get(f"{BASE}/{(await other.stage())['uuid']}/result")).json()
    assert cancelled == {"status": "cancelled", "result": None, "error": None}


async def test_every_path_below_an_unknown_task_is_not_found(client):
    for tail in ("", "/result", "/logs", "/logs?follow=true"):
        answer = await client.get(f"{BASE}/{uuid4()}{tail}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), tail
        assert (await client.get(f"{BASE}/no-uuid{tail}")).status_code == 404, tail


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("stauts=queued", "unknown_parameter"),
        ("status=done", "invalid_parameter"),
        ("queue=gpu", "invalid_parameter"),
        ("pipeline=7", "invalid_parameter"),
        ("limit=201", "invalid_parameter"),
        ("task=%00", "bad_character"),
        ("cursor=none", "cursor_invalid"),
        ("cursor=WzFd", "cursor_invalid"),
        ("cursor=WzAsLTFd", "cursor_invalid"),
        ("cursor=WzEsMjE0NzQ4MzY0OF0", "cursor_invalid"),
    ],
)
async def test_a_query_that_is_not_understood_is_refused(client, query, code):
    answer = await client.get(f"{BASE}?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
