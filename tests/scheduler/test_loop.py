"""The loop that drives the duties: it goes on after outages and bugs, and ends when it is told to."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

import app.scheduler.loop
from app.errors import SetupError, Unavailable
from app.scheduler.loop import _work, drive, run
from app.settings import Settings
from tests.support.jobs import pop
from tests.support.locks import until
from tests.support.pipelines import CHAIN, all_queued, submit
from tests.support.workers import a_worker, ending


class Plan:
    """A duty that goes as planned: an exception is raised, a number is returned; then it stops the loop."""

    def __init__(self, *steps) -> None:
        self.steps = list(steps)
        self.stop = asyncio.Event()
        self.runs = 0

    async def run_once(self) -> int:
        self.runs += 1
        step = self.steps.pop(0)
        if not self.steps:
            self.stop.set()
        if isinstance(step, Exception):
            raise step
        return step


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(app.scheduler.loop, "OUTAGE_PAUSE_S", 0.001)


async def test_a_duty_goes_on_after_an_outage_which_is_told_once():
    plan = Plan(Unavailable("no Postgres"), Unavailable("no Postgres"), RedisConnectionError(), OSError(), 1, 2)
    with capture_logs() as logs:
        await drive(plan, 0, plan.stop)
    assert plan.runs == 6
    told = [entry["event"] for entry in logs if entry["log_level"] != "debug"]
    assert told == ["duty_waits_for_a_server", "duty_goes_on"]


async def test_a_duty_goes_on_after_a_bug_which_is_told_with_its_traceback():
    plan = Plan(ZeroDivisionError(), KeyError("x"), 1)
    with capture_logs() as logs:
        await drive(plan, 0, plan.stop)
    assert plan.runs == 3
    assert [(entry["event"], entry["exc_info"]) for entry in logs if entry["log_level"] == "error"] == [
        ("duty_failed", True),
        ("duty_failed", True),
    ]


async def test_a_duty_does_not_spin_while_a_server_is_away(monkeypatch):
    monkeypatch.setattr(app.scheduler.loop, "OUTAGE_PAUSE_S", 0.05)
    plan = Plan(Unavailable("no Postgres"), ZeroDivisionError(), 1)
    began = asyncio.get_running_loop().time()
    await drive(plan, 0, plan.stop)
    assert asyncio.get_running_loop().time() - began > 0.09


async def test_the_loop_ends_at_once_however_long_its_pause_is():
    plan = Plan(0)
    await asyncio.wait_for(drive(plan, 3600, plan.stop), 10)
    assert plan.runs == 1


async def test_a_scheduler_needs_to_know_its_servers():
    with pytest.raises(SetupError, match="HEADWAY_DATABASE_URL"):
        await run(Settings(), asyncio.Event())


async def test_a_scheduler_refuses_servers_that_may_lose_what_was_accepted(settings: Settings, redis):
    with pytest.raises(SetupError, match="fsync"):
        await run(settings, asyncio.Event())


async def test_a_whole_scheduler_brings_a_pipeline_to_its_end(pool, queue, settings: Settings, redis):
    stop = asyncio.Event()
    scheduler = asyncio.create_task(_work(settings.model_copy(update={"sweep_interval_s": 0.05}), stop, pool, queue))
    pipeline, worker = await submit(pool, CHAIN), await a_worker(pool)
    await queue.dispatch(await all_queued(pool))
    for name in CHAIN:
        await until(lambda: redis.zcard("headway:queue:default:inline"))
        (job,) = await pop(queue)
        assert job.stage == (await pipeline.stage(name))["uuid"]
        answer = await worker.report(ending(await worker.start(pipeline, name)))
        await queue.settle([job])
        await queue.hint(answer.hints)
    await until(lambda: pool.fetchval("SELECT status = 'completed' FROM pipelines"))
    assert await pool.fetchval("SELECT count(*) FROM schedulers") == 1
    stop.set()
    await asyncio.wait_for(scheduler, 10)
    assert await pool.fetchval("SELECT count(*) FROM schedulers") == 0
