"""Failures over HTTP."""

from urllib.parse import quote

import pytest

from app.core.cursor import write_cursor
from app.core.diagnosis import Evidence, diagnose
from tests.support.pipelines import fan, submit
from tests.support.workers import a_worker

BASE = "/api/v1/failures"


@pytest.fixture
async def failed(pool):
    """A pipeline in which three stages have failed, two of them of the same."""
    pipeline, worker = await submit(pool, fan(3)), await a_worker(pool)
    for name, message in zip(fan(3), ("MemoryError", "ValueError: 1", "ValueError: 2"), strict=True):
        error = {"code": "task_error", "message": message}
        await worker.fail(pipeline, name, error=error, diagnosis=diagnose(Evidence.of(error)))
    return pipeline


async def test_failures_are_listed_by_kind(client, failed):
    page = (await client.get(BASE)).json()
    assert page["next_cursor"] is None
    assert [(each["category"], each["count"]) for each in page["items"]] == [
        ("user_exception", 2),
        ("host_oom_soft", 1),
    ]
    assert page["items"][1]["task_ids"] == [str((await failed.stage("s0"))["uuid"])]


async def test_they_can_be_filtered(client, failed):
    async def counts(query):
        answer = await client.get(f"{BASE}?{query}")
        assert answer.status_code == 200, answer.text
        return [each["count"] for each in answer.json()["items"]]

    first = (await client.get(BASE)).json()["items"][1]["last_seen"]
    assert await counts("category=host_oom_soft") == [1]
    assert await counts("task=noop") == [2, 1]
    assert await counts("task=other") == []
    assert await counts(f"pipeline={failed.uuid}") == [2, 1]
    assert await counts("pipeline=00000000-0000-0000-0000-000000000000") == []
    assert await counts(f"seen_before={quote(first)}") == []
    assert await counts(f"seen_after={quote(first)}&category=user_exception") == [2]


async def test_pages_follow_each_other(client, failed):
    first = (await client.get(f"{BASE}?limit=1")).json()
    second = (await client.get(f"{BASE}?limit=1&cursor={first['next_cursor']}")).json()
    assert [page["items"][0]["category"] for page in (first, second)] == ["user_exception", "host_oom_soft"]
    assert second["next_cursor"] is None
    assert len(first["next_cursor"]) <= 200


@pytest.mark.parametrize("query", ["category=nope", "seen_after=2030-01-01T00:00:00", "cursor=x", "limit=0", "x=1"])
async def test_what_makes_no_sense_is_refused(client, query):
    answer = await client.get(f"{BASE}?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


BEYOND = "9999-12-31T23:59:59-14:00"
FORGED = ([BEYOND], ["2030-01-31T12:00:00Z", 1, 1, 1, BEYOND, "a"])


@pytest.mark.parametrize(
    "query",
    [
        f"seen_after={BEYOND}",
        f"seen_before={BEYOND}",
        "seen_before=0001-01-01T00:00:00%2B14:00",
        *(f"cursor={write_cursor(each)}" for each in FORGED),
    ],
)
async def test_a_time_beyond_the_calendar_is_refused(client, query):
    answer = await client.get(f"{BASE}?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "invalid_value")


@pytest.mark.parametrize("query", ["seen_after=9999-12-31T23:59:59Z", "seen_before=0001-01-01T00:00:00Z"])
async def test_the_ends_of_the_calendar_are_times_like_others(client, failed, query):
    answer = await client.get(f"{BASE}?{query}")
    assert (answer.status_code, answer.json()["items"]) == (200, [])


async def test_a_diagnosis_is_shown_with_its_task(client, failed):
    task = (await client.get(f"/api/v1/tasks/{(await failed.stage('s0'))['uuid']}")).json()
    assert task["diagnosis"]["category"] == "host_oom_soft"
    assert task["attempts"][0]["diagnosis"] == task["diagnosis"]
