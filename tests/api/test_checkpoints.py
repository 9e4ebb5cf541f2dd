"""Checkpoints over HTTP: lists, and pins."""

from uuid import uuid4

import pytest
from msgspec.structs import replace

from app.services import checkpoints
from schemas.checkpoint import CheckpointReport
from schemas.states import CheckpointState
from tests.support.pipelines import PAIR, submit
from tests.support.workers import a_worker

BASE = "/api/v1/checkpoints"


@pytest.fixture
async def saved(pool):
    """Two pipelines: one with three checkpoints of stage a and one of b, the other with one of a."""
    worker, claims = await a_worker(pool), []
    for _ in range(2):
        pipeline = await submit(pool, PAIR)
        claims += [(pipeline, claim) for claim in await worker.claim(pipeline, "a", "b")]
    (first, a), (_, b), (second, other), _ = claims

    async def save(claim, step, state=CheckpointState.COMPLETE):
        report = CheckpointReport(claim.stage, claim.lease_token, step, f"/{step}", {"loss": 0.5}, 7)
        await checkpoints.record(pool, [replace(report, state=state)])

    for step in (1, 2):
        await save(a, step)
    await save(b, 3)
    await save(other, 4)
    await save(a, 5, CheckpointState.WRITING)
    await checkpoints.condemn(pool, a.stage, a.lease_token, "/1", "its file x is missing")
    return first, second, a


async def steps(client, query=""):
    answer = await client.get(f"{BASE}?{query}")
    assert answer.status_code == 200, answer.text
    return [each["step"] for each in answer.json()["items"]]


async def test_a_checkpoint_tells_everything_about_itself(client, saved):
    first, _, claim = saved
    (item,) = (await client.get(f"{BASE}?state=invalid")).json()["items"]
    assert item.pop("id") > 0
    assert item.pop("created_at") > "2026"
    assert item == {
        "pipeline": str(first.uuid),
        "stage": "a",
        "task_id": str(claim.stage),
        "attempt": 1,
        "step": 1,
        "path": "/1",
        "metrics": {"loss": 0.5},
        "bytes": 7,
        "state": "invalid",
        "reason": "its file x is missing",
        "pinned": False,
    }


async def test_they_are_listed_newest_first_and_all_filters_must_match(client, saved):
    first, second, claim = saved
    assert await steps(client) == [5, 4, 3, 2, 1]
    assert await steps(client, "state=complete") == [4, 3, 2]
    assert await steps(client, "state=writing&state=invalid") == [5, 1]
    assert await steps(client, f"pipeline={first.uuid}") == [5, 3, 2, 1]
    assert await steps(client, f"pipeline={first.uuid}&stage=b") == [3]
    assert await steps(client, f"pipeline={first.uuid}&stage=c") == []
    assert await steps(client, f"task_id={claim.stage}&state=complete") == [2]
    assert await steps(client, f"pipeline={second.uuid}&task_id={claim.stage}") == []
    assert await steps(client, f"pipeline={uuid4()}") == await steps(client, f"task_id={uuid4()}") == []


@pytest.mark.parametrize("scope", ["", "pipeline"])
async def test_pages_follow_each_other(client, saved, scope):
    query, seen, cursor = f"limit=2&pipeline={saved[0].uuid}" if scope else "limit=2", [], ""
    while cursor is not None:
        page = (await client.get(f"{BASE}?{query}{cursor and f'&cursor={cursor}'}")).json()
        seen.append([each["step"] for each in page["items"]])
        cursor = page["next_cursor"]
    assert seen == ([[5, 3], [2, 1]] if scope else [[5, 4], [3, 2], [1]])


async def test_a_pin_holds_until_it_is_taken_away_and_twice_is_no_error(client, saved):
    number = (await client.get(f"{BASE}?state=complete")).json()["items"][0]["id"]
    for verb, pinned in [("pin", True), ("pin", True), ("unpin", False), ("unpin", False)]:
        answer = await client.post(f"{BASE}/{number}/{verb}")
        assert (answer.status_code, answer.json()["pinned"], answer.json()["id"]) == (200, pinned, number)


@pytest.mark.parametrize("state", ["deleting", "deleted"])
async def test_what_goes_cannot_be_pinned_any_more(client, saved, pool, state):
    number = await pool.fetchval("UPDATE checkpoints SET state = $1 WHERE step = 2 RETURNING id", state)
    answer = await client.post(f"{BASE}/{number}/pin")
    assert (answer.status_code, answer.json()["code"], answer.json()["state"]) == (409, "state_conflict", state)
    assert (await client.post(f"{BASE}/{number}/unpin")).status_code == 200


@pytest.mark.parametrize("number", ["0", "-1", "999999", "9" * 30, "x"])
async def test_what_is_not_there_is_a_404(client, number):
    for verb in ("pin", "unpin"):
        answer = await client.post(f"{BASE}/{number}/{verb}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "query", ["state=torn", "stage=a", "cursor=x", "cursor=Wy0xXQ", "limit=0", "task=x", "pipeline=1"]
)
async def test_what_is_not_understood_is_refused(client, query):
    assert (await client.get(f"{BASE}?{query}")).status_code == 422
