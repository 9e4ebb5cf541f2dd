"""Metrics over HTTP."""

from uuid import uuid4

import pytest

from app.services import series
from schemas.series import MetricsReport
from tests.support.pipelines import submit
from tests.support.workers import a_worker
from workers.series import SeriesBuffer

BASE = "/api/v1/tasks"


@pytest.fixture
async def task(pool):
    """A running task that has measured two things at two steps."""
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim, buffer = await worker.start(pipeline), SeriesBuffer()
    for step, loss in ((1, 0.5), (2.5, 0.25)):
        buffer.take(step, {"val/loss": loss, "lr": 0.1}, at=1_000.5)
    await series.record(pool, MetricsReport(claim.stage, claim.lease_token, buffer.drain()))
    return claim.stage


async def test_metrics_are_read_as_series(client, task):
    assert (await client.get(f"{BASE}/{task}/metrics")).json() == {
        "items": [
            {"name": "val/loss", "attempt": 1, "points": [[1, 0.5, 1_000.5], [2.5, 0.25, 1_000.5]]},
            {"name": "lr", "attempt": 1, "points": [[1, 0.1, 1_000.5], [2.5, 0.1, 1_000.5]]},
        ],
        "next_cursor": None,
    }


async def test_they_can_be_asked_for_by_name(client, task):
    async def names(*query):
        answer = await client.get(f"{BASE}/{task}/metrics", params=query)
        return [each["name"] for each in answer.json()["items"]]

    assert await names(("name", "lr")) == ["lr"]
    assert await names(("name", "lr"), ("name", "val/loss")) == ["val/loss", "lr"]
    assert await names(("name", "nothing")) == []


async def test_pages_follow_each_other(client, task):
    first = (await client.get(f"{BASE}/{task}/metrics?limit=1")).json()
    second = (await client.get(f"{BASE}/{task}/metrics?limit=1&cursor={first['next_cursor']}")).json()
    assert [page["items"][0]["name"] for page in (first, second)] == ["val/loss", "lr"]
    assert second["next_cursor"] is None


async def test_what_is_not_understood_is_refused(client, task):
    assert (await client.get(f"{BASE}/{uuid4()}/metrics")).status_code == 404
    for query in ("names=lr", "limit=0", "cursor=x", "cursor=WzEsNDAwMDBd", "name=%00"):
        assert (await client.get(f"{BASE}/{task}/metrics?{query}")).status_code == 422, query
