"""Cancel: what runs is ended, all of it, and what waits never starts."""

import pytest

from app.client import ApiError
from tests.support.installation import Headway, Installation, noop
from tests.support.processes import Oracle, Watched, below, until

STUBBORN = """
signal.signal(signal.SIGTERM, lambda *_: say("asked"))
os.fork()                                   # in the process group
if os.fork() == 0: os.setsid()              # and out of it
if os.fork() == 0: os.closerange(0, 3)      # and with nothing left to write to
say("runs")
while True: time.sleep(1)
"""


async def test_a_cancel_ends_every_process_of_a_running_stage_and_starts_nothing_more(headway: Headway, oracle: Oracle):
    pipeline = await headway.submit(
        oracle.stage("stubborn", STUBBORN),
        oracle.stage("next", "say('next-runs')", depends_on=["stubborn"]),
        oracle.stage("beside", "say('beside-runs'); forever()"),
        oracle.stage("waiting", "say('waiting-runs')", queue="maintenance"),
    )
    await oracle.heard("runs", times=8)
    await oracle.heard("beside-runs")
    processes = Watched(line.pid for line in oracle.lines())

    answer = await headway.cancel(pipeline)
    ended = await headway.ended(pipeline)

    assert answer.status == "cancelling"
    assert processes.living() == []
    assert ended.status == "cancelled"
    assert {stage.status for stage in ended.stages} == {"cancelled"}
    assert oracle.lines(word="asked") != []
    assert oracle.lines(word="next-runs") == oracle.lines(word="waiting-runs") == []


async def test_a_stage_that_completes_although_it_was_cancelled_keeps_its_result(headway: Headway, oracle: Oracle):
    code = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); say('runs'); forever()"
    pipeline = await headway.submit(oracle.stage("polite", code), noop("next", "polite"))
    await oracle.heard("runs")

    await headway.cancel(pipeline)

    ended = await headway.ended(pipeline)
    assert ended.status == "cancelled"
    assert [stage.status for stage in ended.stages] == ["completed", "cancelled"]


async def test_a_stage_that_waits_for_its_next_attempt_is_cancelled_at_once(headway: Headway, oracle: Oracle):
    pipeline = await headway.submit(oracle.stage("flaky", "sys.exit(1)", max_retries=1, retry_delay=3600))
    await headway.event(pipeline, "stage.retrying", "flaky")

    assert (await headway.cancel(pipeline)).status == "cancelled"


async def test_a_cancel_at_any_moment_leaves_nothing_behind(
    headway: Headway, installation: Installation, oracle: Oracle
):
    worker = installation.processes[2]
    pipelines = [
        await headway.submit(noop("a", sleep_s=0.05), oracle.stage("b", "forever()"), noop("c", "a")) for _ in range(10)
    ]
    for pipeline in pipelines:
        await headway.cancel(pipeline)

    for pipeline in pipelines:
        ended = await headway.ended(pipeline)
        assert ended.status == "cancelled"
        assert {stage.status for stage in ended.stages} <= {"completed", "cancelled"}
    await until(lambda: below(worker.pid) == [], "processes are left")


async def test_a_pipeline_that_was_not_started_is_cancelled_at_once(headway: Headway):
    pipeline = await headway.submit(noop("a"), start=False)

    assert (await headway.cancel(pipeline)).status == "cancelled"

    with pytest.raises(ApiError, match="cancelled and cannot be started"):
        await headway.start(pipeline)


async def test_a_pipeline_that_has_ended_cannot_be_cancelled(headway: Headway):
    pipeline = await headway.run(noop("a"))

    with pytest.raises(ApiError, match="completed and cannot be cancelled") as refused:
        await headway.cancel(pipeline.uuid)

    assert refused.value.status == 409


async def test_a_running_pipeline_is_not_deleted(headway: Headway, oracle: Oracle):
    pipeline = await headway.submit(oracle.stage("a", "say('runs'); wait_for('go')"))
    await oracle.heard("runs")

    with pytest.raises(ApiError, match="cancel it and wait for its end") as refused:
        await headway.delete(pipeline)

    assert refused.value.status == 409
    oracle.say("go")
    assert (await headway.ended(pipeline)).status == "completed"
