"""What people do with pipelines besides starting and cancelling them."""

from typing import Any
from uuid import UUID, uuid4

import msgspec

from schemas.pipeline import Pipeline
from tests.support.installation import Headway, Installation, noop
from tests.support.processes import Oracle


async def ask(headway: Headway, method: str, path: str, **body: Any) -> Any:
    content = msgspec.json.encode(body) if body else None
    return msgspec.json.decode(await headway.ask(method, f"/api/v1/pipelines{path}", content=content))


async def do(headway: Headway, verb: str, pipeline: UUID) -> Pipeline:
    return msgspec.convert(await ask(headway, "POST", f"/{pipeline}/{verb}"), Pipeline)


async def test_a_pause_lets_what_runs_finish_and_starts_nothing_until_the_resume(headway: Headway, oracle: Oracle):
    pipeline = await headway.submit(
        oracle.stage("a", "say('a-runs'); wait_for('go')"), oracle.stage("b", "say('b-runs')", depends_on=["a"])
    )
    await oracle.heard("a-runs")

    assert (await do(headway, "pause", pipeline)).status == "paused"
    oracle.say("go")
    await headway.event(pipeline, "stage.queued", "b")
    assert (await headway.run(noop("another"))).status == "completed"  # a worker has been free meanwhile
    assert (await headway.stage(pipeline, "b")).waiting_reason == "the pipeline is paused"
    assert oracle.words() == ["a-runs"]

    await do(headway, "resume", pipeline)
    assert (await headway.ended(pipeline)).status == "completed"
    assert oracle.words() == ["a-runs", "b-runs"]


async def test_a_retry_goes_on_at_the_stage_that_failed(headway: Headway, oracle: Oracle):
    pipeline = await headway.run(
        oracle.stage("prepare", "say('prepare')"),
        oracle.stage("train", "say('train'); sys.exit(attempt == 1)", depends_on=["prepare"]),
        oracle.stage("evaluate", "say('evaluate')", depends_on=["train"]),
    )
    assert {stage.name: stage.status for stage in pipeline.stages} == {
        "prepare": "completed",
        "train": "failed",
        "evaluate": "skipped",
    }

    await do(headway, "retry", pipeline.uuid)

    again = await headway.ended(pipeline.uuid)
    assert again.status == "completed"
    assert oracle.words() == ["prepare", "train", "train", "evaluate"]
    assert [stage.attempt for stage in again.stages] == [1, 2, 1]


async def test_a_higher_priority_overtakes_what_waits_already(headway: Headway, oracle: Oracle):
    """Two stages keep both slots busy. When one of them ends, the slot goes to the second pipeline, not the first."""
    busy = await headway.submit(*(oracle.stage(f"busy-{n}", f"say('busy'); wait_for('go-{n}')") for n in range(2)))
    await oracle.heard("busy", times=2)
    first = await headway.submit(oracle.stage("a", "say('first')"))
    second = await headway.submit(oracle.stage("a", "say('second')"))

    assert (await ask(headway, "PATCH", f"/{second}", priority=10))["priority"] == 10
    oracle.say("go-0")
    for pipeline in (first, second):
        assert (await headway.ended(pipeline)).status == "completed"

    assert oracle.words()[-2:] == ["second", "first"]
    oracle.say("go-1")
    assert (await headway.ended(busy)).status == "completed"


async def test_a_create_call_repeated_under_its_key_runs_once(headway: Headway, oracle: Oracle):
    spec = {"name": "once", "start": True, "stages": [oracle.stage("a", "say('runs')")]}
    key = str(uuid4())
    pipelines = [await headway.pipelines.create(spec, idempotency_key=key) for _ in range(3)]
    assert len({pipeline.uuid for pipeline in pipelines}) == 1
    assert (await headway.ended(pipelines[0].uuid)).status == "completed"
    assert oracle.words() == ["runs"]


async def test_a_dry_run_says_what_would_be_stored_and_stores_nothing(headway: Headway, installation: Installation):
    count = await installation.value("SELECT count(*) FROM pipelines")
    plan = await headway.pipelines.check({"name": "never", "start": True, "stages": [noop("a"), noop("b", "a")]})
    assert [(stage.name, stage.depends_on) for stage in plan.stages] == [("a", []), ("b", ["a"])]
    assert await installation.value("SELECT count(*) FROM pipelines") == count


async def test_many_are_counted_then_cancelled_retried_and_deleted_in_one_call_each(
    headway: Headway, installation: Installation, oracle: Oracle
):
    team = {"filter": {"labels": {"team": oracle.path.parent.name[-60:]}}}
    labels = team["filter"]["labels"]
    running = await headway.submit(oracle.stage("a", "say('runs'); wait_for('go')"), labels=labels)
    waiting = [await headway.submit(noop("a"), labels=labels, start=False) for _ in range(3)]
    bystander = await headway.submit(noop("a"), start=False)
    await oracle.heard("runs")

    assert (await ask(headway, "POST", "/actions/cancel?dry_run=true", **team))["matched"] == 4
    answer = await ask(headway, "POST", "/actions/cancel", **team)
    assert {item["status"] for item in answer["items"]} <= {"cancelling", "cancelled"}
    assert (await headway.ended(running)).status == "cancelled"

    oracle.say("go")
    assert (await ask(headway, "POST", "/actions/retry", **team))["matched"] == 4
    for pipeline in (running, *waiting):
        assert (await headway.ended(pipeline)).status == "completed"
    assert installation.artifacts(await headway.get(running), "a").parents[1].exists()

    answer = await ask(headway, "POST", "/actions/delete", **team)
    assert all(item["ok"] for item in answer["items"])
    page = await ask(headway, "GET", f"?label=team:{labels['team']}")
    assert page == {"items": [], "next_cursor": None}
    assert not (installation.data_dir / "artifacts" / str(running)).exists()
    assert (await headway.get(bystander)).status == "pending"
    await headway.delete(bystander)


async def test_the_graph_shows_who_waits_for_whom_and_how_far_they_are(headway: Headway, oracle: Oracle):
    pipeline = await headway.submit(
        noop("a"),
        oracle.stage("b", "say('half'); wait_for('go')", depends_on=["a"]),
        noop("c", "a"),
        noop("d", "b", "c"),
    )
    await oracle.heard("half")
    await headway.event(pipeline, "stage.completed", "c")

    graph = await ask(headway, "GET", f"/{pipeline}/graph")
    assert graph["levels"] == [["a"], ["b", "c"], ["d"]]
    assert {"from": "b", "to": "d"} in graph["edges"]
    assert {node["name"]: node["status"] for node in graph["nodes"]} == {
        "a": "completed",
        "b": "running",
        "c": "completed",
        "d": "pending",
    }
    oracle.say("go")
    assert (await headway.ended(pipeline)).status == "completed"
