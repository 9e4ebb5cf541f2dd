"""Redis is emptied, killed, restarted: that costs seconds, never work."""

import signal
import time
from functools import partial

import pytest
import redis

from tests.support.installation import Headway, Installation, is_gapless, noop, stage_of
from tests.support.processes import Oracle, until

pytestmark = pytest.mark.chaos

COMPLETED = "SELECT count(*) >= $1 FROM stages WHERE status = 'completed'"
LIVE = "SELECT count(*) FROM workers WHERE state = 'live'"
ATTEMPTS = "SELECT DISTINCT status, attempt FROM stages"


def flushall(installation: Installation) -> None:
    with redis.Redis.from_url(installation.valkey.url) as client:
        client.flushall()


async def test_redis_is_emptied_again_and_again_in_the_middle_of_a_run(
    headway: Headway, installation: Installation, oracle: Oracle
):
    installation.worker()
    installation.worker()
    await installation.ready()
    chain = [noop("s0", sleep_s=0.03), *(noop(f"s{n}", f"s{n - 1}", sleep_s=0.03) for n in range(1, 10))]
    pipelines = [await headway.submit(*chain) for _ in range(20)]
    pipelines += [await headway.submit(oracle.stage("a", "say('ran')"), noop("b", "a")) for _ in range(5)]
    for done in (5, 50, 100, 150, 190):
        await until(partial(installation.value, COMPLETED, done), f"not even {done} stages have completed")
        flushall(installation)

    for pipeline in pipelines:
        events = await headway.history(pipeline)
        assert events[-1].type == "pipeline.completed"
        assert is_gapless(events)
    assert [tuple(row) for row in await installation.query(ATTEMPTS)] == [("completed", 1)]
    assert oracle.words() == ["ran"] * 5


async def test_redis_is_killed_and_comes_back_empty_and_no_worker_has_gone_deaf(
    headway: Headway, installation: Installation, oracle: Oracle
):
    worker = installation.worker()
    await installation.ready()
    before = await headway.submit(
        oracle.stage("a", "say('runs'); wait_for('go')"), oracle.stage("b", "", depends_on=["a"])
    )
    await oracle.heard("runs")

    installation.lose_valkey()
    during = await headway.submit(noop("a"), oracle.stage("b", "", depends_on=["a"]))
    oracle.say("go")
    await headway.event(before, "stage.completed", "a")
    await until(lambda: worker.said("redis_away"), "the worker has not noticed")
    installation.start_valkey()

    for pipeline in (before, during, await headway.submit(noop("a"), oracle.stage("b", "", depends_on=["a"]))):
        ended = await headway.ended(pipeline)
        assert ended.status == "completed"
        assert [stage.attempt for stage in ended.stages] == [1, 1]
    assert worker.is_running


async def test_a_cancel_reaches_its_worker_without_redis(headway: Headway, installation: Installation, oracle: Oracle):
    installation.worker()
    await installation.ready()
    pipeline = await headway.submit(oracle.stage("a", "say('runs'); forever()"))
    await oracle.heard("runs")

    installation.lose_valkey()
    await headway.cancel(pipeline)

    ended = await headway.ended(pipeline)
    assert (ended.status, stage_of(ended, "a").status) == ("cancelled", "cancelled")


async def test_a_frozen_redis_holds_nobody_up(headway: Headway, installation: Installation, oracle: Oracle):
    installation.worker()
    await installation.ready()
    first, second = [oracle.stage(name, f"say('runs'); wait_for('go-{name}')") for name in ("first", "second")]
    before = await headway.submit(first, second, noop("after", "first", "second"))
    await oracle.heard("runs", times=2)

    installation.valkey.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    during = await headway.submit(noop("a"))
    for name in ("first", "second"):
        oracle.say(f"go-{name}")
        await headway.event(before, "stage.completed", name)
    took_s = time.monotonic() - began
    installation.valkey.process.send_signal(signal.SIGCONT)

    assert took_s < 15  # two polls of the event stream, on a machine that may be busy
    for pipeline in (before, during):
        assert (await headway.ended(pipeline)).status == "completed"
    assert await installation.query("SELECT state FROM workers") == [("live",)]


async def test_a_full_redis_loses_nothing(headway: Headway, installation: Installation, oracle: Oracle):
    worker = installation.worker()
    await installation.ready()
    before = await headway.submit(oracle.stage("a", "say('runs'); wait_for('go')"), noop("b", "a"))
    await oracle.heard("runs")

    with redis.Redis.from_url(installation.valkey.url) as client:
        client.config_set("maxmemory", 1)
        during = await headway.submit(noop("a"), noop("b", "a"))
        oracle.say("go")
        await until(partial(installation.value, COMPLETED, 1), "the outcome is not stored")
        await until(lambda: worker.said("hint_lost"), "Redis has taken everything")
        client.config_set("maxmemory", 0)

    for pipeline in (before, during):
        ended = await headway.ended(pipeline)
        assert ended.status == "completed"
        assert [stage.attempt for stage in ended.stages] == [1, 1]


async def test_everything_starts_without_redis_and_begins_to_work_when_it_comes(
    headway: Headway, installation: Installation, oracle: Oracle
):
    installation.lose_valkey()
    for process in installation.processes:
        process.kill()
    installation.api()
    installation.scheduler()
    installation.worker()
    await until(lambda: installation.value(LIVE), "the worker does not start")
    pipeline = await headway.submit(noop("a"), oracle.stage("b", "", depends_on=["a"]))

    installation.start_valkey()

    assert (await headway.ended(pipeline)).status == "completed"
