"""What runs after a failure, how long something may wait, and what is told of all pipelines together."""

import asyncio
from contextlib import aclosing
from datetime import datetime

from schemas.event import SeenEvent
from tests.support.installation import Headway, noop
from tests.support.processes import Oracle


async def test_a_clean_up_and_an_alert_run_after_a_failure_and_the_rest_is_skipped(headway: Headway, oracle: Oracle):
    pipeline = await headway.run(
        oracle.stage("train", "sys.exit(3)"),
        noop("evaluate", "train"),
        noop("cleanup", "evaluate", trigger_rule="all_done"),
        noop("alert", "evaluate", trigger_rule="any_failed"),
    )
    assert pipeline.status == "failed"
    assert {stage.name: stage.status for stage in pipeline.stages} == {
        "train": "failed",
        "evaluate": "skipped",
        "cleanup": "completed",
        "alert": "completed",
    }


async def test_an_alert_is_not_needed_when_all_goes_well(headway: Headway):
    pipeline = await headway.run(noop("train"), noop("alert", "train", trigger_rule="any_failed"))
    assert pipeline.status == "completed"
    assert [stage.status for stage in pipeline.stages] == ["completed", "skipped"]


async def test_a_stage_that_is_allowed_to_fail_harms_nobody(headway: Headway, oracle: Oracle):
    pipeline = await headway.run(oracle.stage("lint", "sys.exit(1)", allow_failure=True), noop("train", "lint"))
    assert pipeline.status == "completed"
    assert [stage.status for stage in pipeline.stages] == ["failed", "completed"]


async def test_each_retry_waits_longer_than_the_one_before(headway: Headway, oracle: Oracle):
    stage = oracle.stage("flaky", "sys.exit(1)", max_retries=2, retry_delay=0.2, retry_backoff=5)
    events = await headway.history(await headway.submit(stage))
    first, second = [
        (datetime.fromisoformat(event.data["retry_at"]) - event.time).total_seconds()
        for event in events
        if event.type == "stage.retrying"
    ]
    assert 0.2 <= first <= 0.22  # a tenth more at most, so that many do not come back at once
    assert 1 <= second <= 1.1


async def test_what_waits_too_long_for_a_worker_is_given_up(headway: Headway):
    await headway.queues.pause("evaluation")
    held = await headway.submit(noop("a", queue="evaluation"))
    assert (await headway.stage(held, "a")).waiting_reason == "the queue evaluation is paused"
    await headway.queues.resume("evaluation")
    assert (await headway.ended(held)).status == "completed"

    busy = await headway.submit(*(noop(f"busy-{n}", sleep_s=600) for n in range(100)))  # every inline slot
    await headway.event(busy, "stage.started", "busy-99")
    late = await headway.run(noop("a", queue_timeout=1))
    error = late.stages[0].error
    assert (late.status, error and error["code"]) == ("failed", "queue_timeout")


async def test_a_purge_cancels_what_is_queued_and_leaves_what_runs(headway: Headway, oracle: Oracle):
    running = await headway.submit(oracle.stage("a", "say('runs'); wait_for('go')", queue="maintenance"))
    await oracle.heard("runs")
    await headway.queues.pause("maintenance")
    queued = await headway.submit(noop("a", queue="maintenance"))
    assert (await headway.tasks.purge("maintenance")).purged == 1
    await headway.queues.resume("maintenance")
    assert (await headway.ended(queued)).stages[0].status == "cancelled"
    oracle.say("go")
    assert (await headway.ended(running)).status == "completed"


async def test_the_events_of_all_pipelines_come_as_one_stream_that_is_resumed_behind_a_cursor(headway: Headway):
    async def next_end(after: str | None) -> SeenEvent:
        watching = headway.events.watch(after=after, types=["pipeline.completed"])
        async with asyncio.timeout(30), aclosing(watching) as ends:
            return await anext(ends)

    listening = asyncio.create_task(next_end("begin"))
    ours = [(await headway.run(noop("a"))).uuid for _ in range(2)]
    seen = await listening
    while not seen.event.source.endswith(str(ours[0])):
        seen = await next_end(seen.cursor)
    assert (await next_end(seen.cursor)).event.source.endswith(str(ours[1]))
