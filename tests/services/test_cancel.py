"""Cancel and delete: after a cancel nothing starts; after a delete nothing is left."""

import pytest

from app.errors import Conflict
from app.services import checkpoints, pipelines, stages
from schemas.checkpoint import CheckpointReport
from tests.support import invariants
from tests.support.locks import at_once
from tests.support.pipelines import CHAIN, DIAMOND, PAIR, submit
from tests.support.workers import a_worker, ending, requests_of

TABLES = ["pipelines", "stages", "dependencies", "attempts", "events", "checkpoints"]


@pytest.mark.parametrize("start", [False, True], ids=["not started", "queued"])
async def test_with_nothing_running_a_cancel_is_the_end(pool, start):
    pipeline = await submit(pool, CHAIN, start=start)
    answer = await pipelines.cancel(pool, pipeline.uuid)
    assert await pipeline.status() == "cancelled"
    assert set((await pipeline.statuses()).values()) == {"cancelled"}
    assert (await pipeline.history())[-5:] == [
        "pipeline.cancelling",
        "stage.cancelled a",
        "stage.cancelled b",
        "stage.cancelled c",
        "pipeline.cancelled",
    ]
    assert [hint.seq for hint in answer.hints] == [await pipeline.seq()]
    assert await stages.releasable(pool, 10) == []


async def test_a_paused_pipeline_can_be_cancelled(pool):
    pipeline = await submit(pool)
    await pipeline.set(status="paused")
    await pipelines.cancel(pool, pipeline.uuid)
    assert await pipeline.status() == "cancelled"


async def test_what_waits_is_cancelled_at_once_and_what_runs_when_it_has_stopped(pool):
    pipeline, worker = await submit(pool, {**PAIR, "c": (), "d": ("a",)}), await a_worker(pool)
    claim = await worker.start(pipeline, "a")
    await worker.fail(pipeline, "b", retry_delay_s=60)
    await pipelines.cancel(pool, pipeline.uuid)
    assert await pipeline.statuses() == {"a": "running", "b": "cancelled", "c": "cancelled", "d": "cancelled"}
    assert await pipeline.status() == "cancelling"
    assert (await worker.beat(claim)).cancelled == [claim.lease_token]
    await worker.report(ending(claim))
    await pipeline.release()
    assert await pipeline.status() == "cancelled"


async def test_a_second_cancel_changes_nothing(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.start(pipeline)
    await pipelines.cancel(pool, pipeline.uuid)
    before = await pipeline.everything()
    assert (await pipelines.cancel(pool, pipeline.uuid)).hints == []
    assert await pipeline.everything() == before


async def test_two_cancels_at_once_are_one(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    await worker.start(pipeline)
    await at_once(pool, pipeline, pipelines.cancel(pool, pipeline.uuid), pipelines.cancel(pool, pipeline.uuid))
    assert (await pipeline.history()).count("pipeline.cancelling") == 1


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
async def test_what_has_ended_cannot_be_cancelled(pool, end: str):
    pipeline, worker = await submit(pool), await a_worker(pool)
    if end == "completed":
        await worker.complete(pipeline, "a")
    elif end == "failed":
        await worker.fail(pipeline, "a")
    else:
        await pipelines.cancel(pool, pipeline.uuid)
    await pipeline.release()
    before = await pipeline.everything()
    with pytest.raises(Conflict, match=end):
        await pipelines.cancel(pool, pipeline.uuid)
    assert await pipeline.everything() == before


async def test_a_claim_and_a_cancel_at_once_agree(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    requests = requests_of([await pipeline.stage()])
    claimed, _ = await at_once(pool, pipeline, worker.ask(requests), pipelines.cancel(pool, pipeline.uuid))
    history = await pipeline.history()
    if claimed.claims:
        assert history.index("stage.started a") < history.index("pipeline.cancelling")
        assert await pipeline.status() == "cancelling"
    else:
        assert "stage.started a" not in history
        assert await pipeline.status() == "cancelled"


async def test_nothing_is_released_after_a_cancel(pool):
    pipeline, worker = await submit(pool, DIAMOND), await a_worker(pool)
    claim = await worker.start(pipeline)
    await pipelines.cancel(pool, pipeline.uuid)
    seq = await pipeline.seq()
    await worker.report(ending(claim))
    assert (await pipeline.release()).queued == []
    assert await pipeline.history(after=seq) == ["stage.completed a", "pipeline.cancelled"]


async def _rows(pool):
    return [await pool.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES]


async def test_a_deleted_pipeline_leaves_no_row_and_its_neighbour_all(pool):
    pipeline, neighbour, worker = await submit(pool, PAIR), await submit(pool, CHAIN), await a_worker(pool)
    for each in (pipeline, neighbour):
        claim = await worker.start(each)
        report = CheckpointReport(claim.stage, claim.lease_token, 1, "somewhere", {}, 1)
        await checkpoints.record(pool, [report])
        await worker.report(ending(claim))
    await worker.complete(pipeline, "b")
    await pipeline.release()
    before = await neighbour.everything()
    await pipelines.delete(pool, pipeline.uuid)
    assert await pipeline.everything() == []
    assert await neighbour.everything() == before
    assert await _rows(pool) == [1, 3, 2, 1, len(await neighbour.history()), 1]


async def test_a_pipeline_that_was_never_started_can_be_deleted(pool):
    pipeline = await submit(pool, DIAMOND, start=False)
    await pipelines.delete(pool, pipeline.uuid)
    assert await _rows(pool) == [0] * len(TABLES)


@pytest.mark.parametrize("status", ["running", "paused", "cancelling"])
async def test_a_pipeline_that_is_under_way_cannot_be_deleted(pool, status: str):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.start(pipeline)
    await pipeline.set(status=status)
    before = await pipeline.everything()
    with pytest.raises(Conflict, match=status):
        await pipelines.delete(pool, pipeline.uuid)
    assert await pipeline.everything() == before


async def test_what_was_allowed_to_go_wrong_is_not_counted_as_broken(pool):
    pipeline = await submit(pool, PAIR, of={"a": {"allow_failure": True}})
    await pipelines.cancel(pool, pipeline.uuid)
    assert (await pipeline.row())["broken_stages"] == 1
    await invariants.hold(pool)
