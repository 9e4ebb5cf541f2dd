"""API processes and schedulers come and go; nobody leads, and nothing is kept in them."""

import asyncio
import signal

import pytest

from app.services.stages import DEPENDENTS_MAX
from tests.support.installation import Headway, Installation, durable, is_gapless, noop
from tests.support.locks import until
from tests.support.processes import Oracle

pytestmark = pytest.mark.chaos


def chain(length: int) -> list[dict[str, object]]:
    return [noop("s0"), *(noop(f"s{n}", f"s{n - 1}", sleep_s=0.03) for n in range(1, length))]


def fans(count: int) -> list[dict[str, object]]:
    """One behind the other, each too wide for a worker to release by itself."""
    stages = [noop("j0")]
    for n in range(count):
        middle = [f"m{n}-{i}" for i in range(DEPENDENTS_MAX + 1)]
        stages += [noop(name, f"j{n}", sleep_s=0.03) for name in middle] + [noop(f"j{n + 1}", *middle)]
    return stages


async def test_a_scheduler_is_killed_and_another_goes_on(headway: Headway, installation: Installation):
    installation.worker()
    first, _ = installation.processes[1], installation.scheduler()
    await installation.ready()
    pipelines = [await headway.submit(*fans(4)) for _ in range(3)]
    await headway.event(pipelines[0], "stage.completed", "j2")

    first.kill()

    for pipeline in pipelines:
        events = await headway.history(pipeline)
        assert events[-1].type == "pipeline.completed"
        assert is_gapless(events)


async def test_without_any_scheduler_workers_go_on_with_what_is_little_and_the_rest_waits_for_the_next(
    headway: Headway, installation: Installation, oracle: Oracle
):
    installation.worker()
    await installation.ready()
    wide = [noop(f"of-{n}", "a") for n in range(DEPENDENTS_MAX + 1)]
    pipeline = await headway.submit(oracle.stage("a", "say('runs'); wait_for('go')"), *wide)
    await oracle.heard("runs")

    installation.processes[1].kill()
    oracle.say("go")
    await headway.event(pipeline, "stage.completed", "a")
    started_meanwhile = await headway.submit(noop("root"), noop("next", "root"))
    assert (await headway.ended(started_meanwhile)).status == "completed"
    assert {(await headway.stage(pipeline, each["name"])).status for each in wide} == {"pending"}

    installation.scheduler()

    assert (await headway.ended(pipeline)).status == "completed"


async def test_a_stream_goes_on_at_another_api_process_without_a_gap_or_a_duplicate(
    headway: Headway, installation: Installation
):
    installation.worker()
    await installation.ready()
    api = installation.processes[0]
    pipeline = await headway.submit(*chain(60))
    seen, deaths = [], [90, 30]

    async with asyncio.timeout(30):
        async for event in headway.watch(pipeline):
            seen.append(event)
            if deaths and len(durable(seen)) == deaths[-1]:
                deaths.pop()
                successor = installation.api()
                api.kill()
                api = successor

    assert deaths == []
    assert is_gapless(seen)
    assert seen[-1].type == "pipeline.completed"
    assert len(durable(seen)) == 2 + 3 * 60 + 1


async def test_an_api_process_that_dies_between_commit_and_answer_leaves_one_pipeline(
    headway: Headway, installation: Installation
):
    """Redis stands still, so the commit is followed by a wait for it; there the process is killed."""
    installation.worker()
    await installation.ready()
    installation.valkey.process.send_signal(signal.SIGSTOP)
    submitting = asyncio.create_task(headway.submit(noop("a")))
    await until(lambda: installation.query("SELECT uuid FROM pipelines"))
    installation.processes[0].kill()
    installation.valkey.process.send_signal(signal.SIGCONT)
    installation.api()

    pipeline = await asyncio.wait_for(submitting, 30)

    assert [row["uuid"] for row in await installation.query("SELECT uuid FROM pipelines")] == [pipeline]


async def test_every_process_is_replaced_in_turn_while_pipelines_come_and_go(
    headway: Headway, installation: Installation, oracle: Oracle
):
    """A rolling deploy, with two of each."""
    installation.api()
    installation.scheduler()
    installation.worker()
    installation.worker()
    await installation.ready()
    replaced = asyncio.Event()

    async def use() -> None:
        while not replaced.is_set():
            await headway.submit(noop("a"), oracle.stage("b", "", depends_on=["a"]), noop("c", "b"))
            await asyncio.sleep(0.05)  # a load that leaves the machine some room

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(use())
        for process in list(installation.processes):
            getattr(installation, process.role)()
            await installation.ready()
            process.send(signal.SIGTERM)
            assert await process.ended() in {0, -signal.SIGTERM}
        replaced.set()

    assert len(headway.submitted) > 10
    for pipeline in headway.submitted:
        ended = await headway.ended(pipeline)
        assert ended.status == "completed"
        assert [stage.attempt for stage in ended.stages] == [1, 1, 1]
