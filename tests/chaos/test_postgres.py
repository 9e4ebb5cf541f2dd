"""Postgres crashes and comes back: what was accepted is there, and everybody carries on."""

import asyncio

import httpx2
import pytest

from tests.support.installation import Headway, Installation, is_gapless, noop, stage_of
from tests.support.processes import Oracle, Watched, until

pytestmark = pytest.mark.chaos


async def test_postgres_crashes_in_the_middle_of_a_run_and_everything_completes(
    headway: Headway, installation: Installation, oracle: Oracle
):
    # A lease that outlives the outage, however slow the machine.
    worker = installation.worker(lease_timeout_s=20)
    await installation.ready()
    chain = [noop("s0"), *(noop(f"s{n}", f"s{n - 1}", sleep_s=0.05) for n in range(1, 20))]
    spans = [oracle.stage("a", "say('runs'); wait_for('go')"), noop("b", "a")]
    pipelines = [await headway.submit(*spans), *[await headway.submit(*chain) for _ in range(5)]]
    await oracle.heard("runs")
    await headway.event(pipelines[-1], "stage.completed", "s5")

    installation.crash_postgres()
    async with httpx2.AsyncClient(base_url=installation.url, timeout=30) as client:
        refused = await client.get("/api/v1/pipelines")
        readiness = await client.get("/readyz")
        liveness = await client.get("/livez")
    oracle.say("go")
    await until(lambda: worker.said("outcomes_wait_for_postgres"), "no outcome had to wait")
    installation.start_postgres()

    assert refused.status_code == readiness.status_code == 503
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["Retry-After"] == "1"
    assert liveness.status_code == 200
    for pipeline in pipelines:
        ended = await headway.ended(pipeline)
        assert ended.status == "completed"
        assert {stage.attempt for stage in ended.stages} == {1}
        assert is_gapless(await headway.events(pipeline))
    assert all(process.is_running for process in installation.processes)


async def test_a_stream_survives_the_crash_of_postgres(headway: Headway, installation: Installation):
    installation.worker()
    await installation.ready()
    chain = [noop("s0"), *(noop(f"s{n}", f"s{n - 1}", sleep_s=0.1) for n in range(1, 10))]
    pipeline = await headway.submit(*chain)
    watching = asyncio.create_task(headway.events(pipeline))
    await headway.event(pipeline, "stage.completed", "s2")

    installation.crash_postgres()
    installation.start_postgres()

    events = await watching
    assert is_gapless(events)
    assert events[-1].type == "pipeline.completed"


async def test_an_outage_that_is_longer_than_the_leases_condemns_no_worker(
    headway: Headway, installation: Installation, oracle: Oracle
):
    worker = installation.worker()
    await installation.ready()
    pipeline = await headway.submit(oracle.stage("a", "say('runs'); attempt == 1 and forever()"))
    process = Watched([(await oracle.heard("runs")).pid])

    installation.crash_postgres()
    await process.gone()
    await asyncio.sleep(installation.settings["lease_timeout_s"])  # so that every lease has run out
    installation.start_postgres()

    ended = await headway.ended(pipeline)
    assert ended.status == "completed"
    assert stage_of(ended, "a").attempt == 2
    assert installation.runner_of(stage_of(ended, "a")) is worker
    attempts = await installation.query("SELECT outcome FROM attempts ORDER BY attempt")
    assert [row["outcome"] for row in attempts] == ["cancelled", "completed"]
    assert await installation.query("SELECT state FROM workers") == [("live",)]
