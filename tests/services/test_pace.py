"""How fast running stages get on: on the task, and counted by task."""

import pytest

from app.services import pace, series, stages, tasks
from schemas.pace import RunningTotals
from schemas.series import MetricsReport, Point, SeriesReport
from schemas.stage import Progress
from schemas.states import Outcome
from tests.support.pipelines import PAIR, submit
from tests.support.workers import a_worker, ending


async def report(pool, claim, step, *, steps_per_s=2.0, eta_s=30.0):
    progress = Progress(claim.stage, claim.lease_token, step / 100, step, 100, steps_per_s, eta_s)
    await stages.report_progress(pool, [progress])


async def measure(pool, claim, number, name, value):
    point = Point(0, 1, value, 0)
    told = SeriesReport(series=number, name=name, stride=1, widened=False, last=point, points=[point])
    await series.record(pool, MetricsReport(claim.stage, claim.lease_token, [told]))


async def go_back(pool, seconds):
    """Let the reports be so much older."""
    await pool.execute("UPDATE paces SET reported_at = reported_at - $1 * interval '1 second'", seconds)


@pytest.fixture
async def worker(pool):
    return await a_worker(pool)


async def test_a_running_task_tells_where_it_is_how_fast_and_how_long_it_takes_from_now_on(pool, worker):
    claim = await worker.start(await submit(pool))
    await report(pool, claim, 40)
    await go_back(pool, 10)
    task = await tasks.get(pool, claim.stage)
    assert (task.progress, task.step, task.total, task.steps_per_s) == (0.4, 40, 100, 2)
    assert task.eta_s == pytest.approx(20, abs=2)
    await go_back(pool, 100)
    assert (await tasks.get(pool, claim.stage)).eta_s == 0


@pytest.mark.parametrize("names", [["lr", "val_loss", "loss"], ["loss", "val_loss"], ["val_loss", "loss", "acc"]])
async def test_the_loss_is_the_last_of_the_newest_attempt_by_the_plainest_name(pool, worker, names):
    claim = await worker.start(await submit(pool))
    assert (await tasks.get(pool, claim.stage)).loss is None
    for number, name in enumerate(names):
        await measure(pool, claim, number, name, 0.5 if name == "loss" else 9)
    assert (await tasks.get(pool, claim.stage)).loss == 0.5


async def test_another_attempt_begins_without_the_pace_of_the_one_before(pool, worker):
    pipeline = await submit(pool)
    claim = await worker.start(pipeline)
    await report(pool, claim, 40)
    await measure(pool, claim, 0, "loss", 0.5)
    await worker.report(ending(claim, Outcome.FAILED, retry_delay_s=0))
    await pipeline.release()
    task = await tasks.get(pool, (await worker.start(pipeline)).stage)
    assert (task.step, task.steps_per_s, task.eta_s, task.loss, task.reported_at) == (None,) * 5


async def test_what_runs_is_counted_by_task_with_its_speed_and_its_longest_way_to_go(pool, worker):
    pipeline = await submit(pool, PAIR, task="train_model")
    a, b = await worker.claim(pipeline, "a", "b")
    await report(pool, a, 10, steps_per_s=2, eta_s=3_600)
    await report(pool, b, 10, steps_per_s=3, eta_s=60)
    other = await worker.start(await submit(pool))
    assert await pace.update_job_metrics(pool) == 3
    train, noop = sorted(await pace.running_totals(pool, 10), key=lambda each: -each.running)
    assert (train.task, train.running, train.reporting, train.silent, train.steps_per_s) == ("train_model", 2, 2, 0, 5)
    assert train.eta_s == pytest.approx(3_600, abs=5)
    assert noop == RunningTotals(task="noop", running=1, reporting=0, silent=0, steps_per_s=0, eta_s=None)
    assert await pace.running_totals(pool, 1) == [train]
    await worker.report(ending(a), ending(b), ending(other))
    assert await pace.update_job_metrics(pool) == 0
    assert await pace.running_totals(pool, 10) == []


@pytest.mark.parametrize(
    ("interval_s", "silence_s", "is_silent"), [(1, 170, False), (1, 190, True), (600, 1_700, False), (600, 1_900, True)]
)
async def test_who_misses_three_reports_and_three_minutes_has_fallen_silent_until_the_next(
    pool, worker, interval_s, silence_s, is_silent
):
    claim = await worker.start(await submit(pool))
    await report(pool, claim, 10)
    await go_back(pool, interval_s)
    await report(pool, claim, 20)
    await go_back(pool, silence_s)
    await pace.update_job_metrics(pool)
    (totals,) = await pace.running_totals(pool, 10)
    task = await tasks.get(pool, claim.stage)
    assert (totals.silent, totals.steps_per_s) == ((1, 0) if is_silent else (0, 2))
    assert (task.steps_per_s, task.eta_s) == ((0, None) if is_silent else (2, 0))
    await report(pool, claim, 30)
    await pace.update_job_metrics(pool)
    assert (await pace.running_totals(pool, 10))[0].silent == 0
    assert (await tasks.get(pool, claim.stage)).steps_per_s == 2
