"""What attempts measure: kept while they hold their stage, thinned by their worker, gone with their pipeline."""

from uuid import uuid4

import pytest
from msgspec.structs import replace

from app.errors import NotFound
from app.services import pipelines, series
from schemas.series import MetricsReport
from schemas.states import Outcome
from tests.support.pipelines import PAIR, submit
from tests.support.workers import a_worker, ending, loss
from workers.series import SeriesBuffer


async def report(pool, claim, buffer):
    while buffer:
        await series.record(pool, MetricsReport(claim.stage, claim.lease_token, buffer.drain()))


async def measure(pool, claim, **values):
    """Report one value after the other, each at the step of its number."""
    buffer = SeriesBuffer()
    for name, measured in values.items():
        for step, value in enumerate(measured):
            buffer.take(step, {name: value}, at=1_000 + step)
    await report(pool, claim, buffer)


async def read(pool, task, **options):
    page = await series.list_page(pool, task, **options)
    return {(each.name, each.attempt): each.points for each in page.items}


async def test_metrics_are_kept_as_series(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await measure(pool, claim, loss=[0.5, 0.25], lr=[1e-3])
    assert await read(pool, claim.stage) == {
        ("loss", 1): [(0, 0.5, 1_000), (1, 0.25, 1_001)],
        ("lr", 1): [(0, 1e-3, 1_000)],
    }


async def test_they_are_extended_by_the_next_report_and_thinned_when_they_are_long(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    buffer = SeriesBuffer()
    for step in range(2_500):
        buffer.take(step, {"loss": -step}, at=step)
        if step % 400 == 0:
            await report(pool, claim, buffer)
    await report(pool, claim, buffer)
    points = (await read(pool, claim.stage))["loss", 1]
    assert [step for step, _, _ in points] == [*range(0, 2_500, 4), 2_499]
    assert all(value == -step and at == step for step, value, at in points)


async def test_a_report_may_be_repeated(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    for _ in range(2):
        await measure(pool, claim, loss=[1, 2, 3])
    assert len((await read(pool, claim.stage))["loss", 1]) == 3


async def test_an_attempt_that_does_not_hold_its_stage_reports_to_nobody(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    old = await worker.start(pipeline)
    await measure(pool, replace(old, lease_token=uuid4()), loss=[1])
    await worker.report(loss(old))
    await measure(pool, old, loss=[1])
    await pipeline.release()
    new = await worker.start(pipeline)
    await measure(pool, old, loss=[1])
    await measure(pool, new, loss=[2])
    await worker.report(ending(new))
    await measure(pool, new, late=[3])
    assert await read(pool, new.stage) == {("loss", 2): [(0, 2, 1_000)]}


async def test_each_attempt_has_series_of_its_own(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    claim = await worker.start(pipeline)
    await measure(pool, claim, loss=[1])
    await worker.report(ending(claim, Outcome.FAILED, retry_delay_s=0))
    await pipeline.release()
    claim = await worker.start(pipeline)
    await measure(pool, claim, accuracy=[0.5], loss=[2])
    found = await series.list_page(pool, claim.stage)
    assert [(each.name, each.attempt) for each in found.items] == [("loss", 1), ("accuracy", 2), ("loss", 2)]
    assert await read(pool, claim.stage, names=["loss"]) == {
        ("loss", 1): [(0, 1, 1_000)],
        ("loss", 2): [(0, 2, 1_000)],
    }
    assert await read(pool, claim.stage, names=["accuracy", "nothing"]) == {("accuracy", 2): [(0, 0.5, 1_000)]}


async def test_pages_follow_each_other(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    claim, other = await worker.claim(pipeline, "a", "b")
    await measure(pool, claim, **{f"m{number}": [number] for number in range(5)})
    await measure(pool, other, elsewhere=[1])
    seen, cursor = [], None
    while cursor is not None or not seen:
        page = await series.list_page(pool, claim.stage, limit=2, cursor=cursor)
        seen += [each.name for each in page.items]
        cursor = page.next_cursor
    assert seen == [f"m{number}" for number in range(5)]


async def test_a_task_without_metrics_has_none_and_an_unknown_one_is_not_found(pool):
    pipeline = await submit(pool)
    assert (await series.list_page(pool, (await pipeline.stage())["uuid"])).items == []
    with pytest.raises(NotFound):
        await series.list_page(pool, uuid4())


async def test_they_go_with_their_pipeline(pool):
    kept, gone, worker = await submit(pool), await submit(pool), await a_worker(pool)
    for pipeline in (kept, gone):
        claim = await worker.start(pipeline)
        await measure(pool, claim, loss=range(50))
        await worker.report(ending(claim))
        await pipeline.release()
    await pipelines.delete(pool, gone.uuid)
    for table in ("metric_series", "metric_points"):
        assert {row["pipeline_id"] for row in await pool.fetch(f"SELECT pipeline_id FROM {table}")} == {kept.id}
