"""Postgres crashes and comes back: what was accepted is there, and everybody carries on."""

import asyncio
import signal

import httpx2
import pytest

from tests.support.installation import Headway, Installation, is_gapless, noop
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
        assert is_gapless(await headway.history(pipeline))
    assert all(process.is_running for process in installation.processes)


async def test_a_stream_survives_the_crash_of_postgres(headway: Headway, installation: Installation):
    installation.worker()
    await installation.ready()
    chain = [noop("s0"), *(noop(f"s{n}", f"s{n - 1}", sleep_s=0.1) for n in range(1, 10))]
    pipeline = await headway.submit(*chain)
    watching = asyncio.create_task(headway.history(pipeline))
    await headway.event(pipeline, "stage.completed", "s2")

    installation.crash_postgres()
    installation.start_postgres()

    events = await watching
    assert is_gapless(events)
    assert events[-1].type == "pipeline.completed"


async def test_an_outage_that_is_longer_than_the_leases_condemns_no_worker(
    headway: Headway, installation: Installation, oracle: Oracle
):
    """Not even the one that is the last to wake up: whoever finds all leases expired waits before it takes any."""
    scheduler, workers = installation.processes[1], [installation.worker(), installation.worker()]
    await installation.ready()
    pipeline = await headway.submit(oracle.stage("a", "say('runs'); attempt == 1 and forever()"))
    process = Watched([(await oracle.heard("runs")).pid])
    awake = installation.runner_of(await headway.stage(pipeline, "a"))
    late = next(worker for worker in workers if worker is not awake)

    late.send(signal.SIGSTOP)
    installation.crash_postgres()
    await process.gone()
    await asyncio.sleep(installation.settings["lease_timeout_s"])  # until every lease has run out
    installation.start_postgres()
    await until(lambda: "rescuer" in [line["duty"] for line in scheduler.said("duty_goes_on")], "nobody rescues")
    late.send(signal.SIGCONT)

    ended = await headway.ended(pipeline)
    assert ended.status == "completed"
    attempts = await installation.query("SELECT outcome FROM attempts ORDER BY attempt")
    assert [row["outcome"] for row in attempts] == ["cancelled", "completed"]
    await needs_both_workers(headway, oracle)
    assert await installation.query("SELECT state FROM workers") == [("live",), ("live",)]


async def needs_both_workers(headway: Headway, oracle: Oracle) -> None:
    """Run four stages that wait for each other, two slots a worker."""
    words = [f"word-{number}" for number in range(4)]
    meet = "\n".join(f"wait_for({word!r})" for word in words)
    pipeline = await headway.run(*(oracle.stage(word, f"say({word!r})\n{meet}") for word in words))
    assert pipeline.status == "completed"
