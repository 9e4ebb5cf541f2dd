"""Submit and start: a pipeline is stored whole, and begins once."""

from uuid import uuid4

import asyncpg
import pytest

from app.errors import Conflict, NotFound
from app.services import pipelines
from tests.support.locks import at_once
from tests.support.pipelines import CHAIN, DIAMOND, PAIR, a_plan, submit
from tests.support.workers import a_worker


async def test_a_submitted_pipeline_waits_for_its_start(pool):
    uuid, answer = await pipelines.create(pool, a_plan(CHAIN, start=False))
    pipeline = await pipelines.get(pool, uuid)
    assert pipeline.status == "pending"
    assert {stage.status for stage in pipeline.stages} == {"pending"}
    assert answer.queued == []
    assert [(hint.pipeline, hint.seq) for hint in answer.hints] == [(uuid, 1)]


async def test_its_stages_know_what_they_wait_for_and_who_waits_for_them(pool):
    pipeline = await submit(pool, DIAMOND, start=False)
    rows = [await pipeline.stage(name) for name in DIAMOND]
    assert [row["unmet"] for row in rows] == [0, 1, 1, 2]
    assert [row["dependents"] for row in rows] == [2, 1, 1, 0]
    assert await pipeline.history() == ["pipeline.created"]


async def test_a_start_queues_what_waits_for_nothing(pool):
    pipeline = await submit(pool, {**PAIR, "c": ("a",)}, start=False, priority=7)
    answer = await pipelines.start(pool, pipeline.uuid)
    assert await pipeline.statuses() == {"a": "queued", "b": "queued", "c": "pending"}
    assert [(told.dispatch_token, told.priority) for told in answer.queued] == [(1, 7), (1, 7)]
    assert await pipeline.history() == ["pipeline.created", "pipeline.started", "stage.queued a", "stage.queued b"]
    row = await pipeline.row()
    assert (row["status"], row["open_stages"]) == ("running", 3)
    assert row["started_at"] >= row["created_at"]


async def test_a_pipeline_may_be_submitted_and_started_in_one_go(pool):
    uuid, answer = await pipelines.create(pool, a_plan(PAIR))
    assert len(answer.queued) == 2
    assert [hint.seq for hint in answer.hints] == [4]
    assert (await pipelines.get(pool, uuid)).status == "running"


async def test_a_second_start_is_a_conflict(pool):
    pipeline = await submit(pool, start=False)
    await pipelines.start(pool, pipeline.uuid)
    before = await pipeline.everything()
    with pytest.raises(Conflict, match="running"):
        await pipelines.start(pool, pipeline.uuid)
    assert await pipeline.everything() == before


async def test_of_two_starts_at_once_one_is_a_conflict(pool):
    pipeline = await submit(pool, start=False)

    async def start():
        try:
            return len((await pipelines.start(pool, pipeline.uuid)).queued)
        except Conflict:
            return "conflict"

    answers = await at_once(pool, pipeline, start(), start())
    assert sorted(answers, key=str) == [1, "conflict"]
    assert (await pipeline.history()).count("pipeline.started") == 1


@pytest.mark.parametrize("end", ["completed", "cancelled"])
async def test_what_has_ended_cannot_be_started(pool, end: str):
    pipeline, worker = await submit(pool), await a_worker(pool)
    if end == "completed":
        await worker.complete(pipeline, "a")
        await pipeline.release()
    else:
        await pipelines.cancel(pool, pipeline.uuid)
    with pytest.raises(Conflict, match=end):
        await pipelines.start(pool, pipeline.uuid)


async def test_what_does_not_exist_cannot_be_started_cancelled_or_deleted(pool):
    for verb in (pipelines.start, pipelines.cancel, pipelines.delete):
        with pytest.raises(NotFound):
            await verb(pool, uuid4())


async def test_a_submission_that_fails_leaves_nothing(pool):
    with pytest.raises(asyncpg.CheckViolationError):
        await pipelines.create(pool, a_plan({"a": (), "No good": ()}))
    counts = await pool.fetchrow("SELECT (SELECT count(*) FROM pipelines), (SELECT count(*) FROM events)")
    assert tuple(counts or ()) == (0, 0)
