"""What a pipeline is: stages that run when those they depend on have completed, and events that tell of it."""

from tests.support.installation import Headway, Installation, durable, is_gapless, noop, stage_of
from tests.support.processes import Oracle, until


async def test_a_pipeline_runs_from_create_over_start_to_completed(headway: Headway):
    pipeline = await headway.submit(noop("a"), noop("b", "a"), start=False)
    assert (await headway.get(pipeline)).status == "pending"
    assert (await headway.stage(pipeline, "a")).waiting_reason == "the pipeline has not been started"

    await headway.start(pipeline)

    ended = await headway.ended(pipeline)
    assert ended.status == "completed"
    assert [(stage.name, stage.status, stage.attempt) for stage in ended.stages] == [
        ("a", "completed", 1),
        ("b", "completed", 1),
    ]


async def test_its_events_tell_all_that_happened_in_order_and_without_a_gap(headway: Headway):
    events = durable(await headway.history(await headway.submit(noop("a"), noop("b", "a"))))

    assert [(event.type, event.subject) for event in events] == [
        ("pipeline.created", None),
        ("pipeline.started", None),
        ("stage.queued", "a"),
        ("stage.started", "a"),
        ("stage.completed", "a"),
        ("stage.queued", "b"),
        ("stage.started", "b"),
        ("stage.completed", "b"),
        ("pipeline.completed", None),
    ]
    assert is_gapless(events)
    assert [event.time for event in events] == sorted(event.time for event in events)


async def test_in_a_diamond_b_and_c_run_at_the_same_time_and_d_once(headway: Headway, oracle: Oracle):
    pipeline = await headway.run(
        noop("a"),
        oracle.stage("b", "say('b-runs'); wait_for('c-runs')", depends_on=["a"]),
        oracle.stage("c", "say('c-runs'); wait_for('b-runs')", depends_on=["a"]),
        oracle.stage("d", "say('d-runs')", depends_on=["b", "c"]),
    )

    assert pipeline.status == "completed"
    assert sorted(oracle.words()) == ["b-runs", "c-runs", "d-runs"]
    assert oracle.words()[-1] == "d-runs"


async def test_a_failure_skips_what_depends_on_it_and_leaves_the_other_branch_alone(headway: Headway, oracle: Oracle):
    pipeline = await headway.run(
        noop("a"),
        oracle.stage("b", "say('failing'); sys.exit('the disk is on fire')", depends_on=["a"]),
        oracle.stage("c", "wait_for('failing'); say('c-ends')", depends_on=["a"]),
        oracle.stage("d", "say('d-runs')", depends_on=["b", "c"]),
        noop("e", "d"),
    )

    statuses = {stage.name: stage.status for stage in pipeline.stages}
    assert statuses == {"a": "completed", "b": "failed", "c": "completed", "d": "skipped", "e": "skipped"}
    assert oracle.words() == ["failing", "c-ends"]
    assert pipeline.status == "failed"
    assert pipeline.error is not None
    assert pipeline.error["stage"] == "b"
    assert pipeline.error["message"] == "Stage b failed: The process exited with code 1."
    assert "the disk is on fire" in pipeline.error["error"]["log_tail"]
    assert stage_of(pipeline, "d").error == {
        "code": "dependency_failed",
        "stage": "b",
        "message": "Its dependency b was not completed.",
    }


async def test_a_stage_is_given_the_results_that_its_params_refer_to(headway: Headway, oracle: Oracle):
    pipeline = await headway.run(
        oracle.stage("measure", "report(type='result', values={'pause': {'s': [5, 0.25]}})"),
        noop("wait") | {"params": {"sleep_s": {"from": "stages.measure.result.pause.s.1"}}},
    )

    wait = stage_of(pipeline, "wait")
    assert wait.status == "completed"
    assert wait.depends_on == ["measure"]
    assert wait.started_at is not None
    assert wait.finished_at is not None
    assert (wait.finished_at - wait.started_at).total_seconds() >= 0.25


async def test_a_reference_that_leads_nowhere_at_run_time_is_not_tried_again(headway: Headway, oracle: Oracle):
    measure = oracle.stage("measure", "report(type='result', values={'pause': 'long'})")
    for reference in ("stages.measure.result.pose", "stages.measure.result.pause"):
        pipeline = await headway.run(
            measure,
            noop("wait", max_retries=3) | {"params": {"sleep_s": {"from": reference}}},
        )
        wait = stage_of(pipeline, "wait")
        assert (wait.status, wait.attempt) == ("failed", 1)
        assert wait.error is not None
        assert wait.error["code"] == "param_invalid"


async def test_a_free_slot_goes_to_the_queue_of_the_highest_priority(
    headway: Headway, installation: Installation, oracle: Oracle
):
    def stage(queue: str) -> dict[str, object]:
        return oracle.stage("only", f"say({queue!r})", queue=queue)

    blockers = await headway.submit(
        oracle.stage("first", "say('busy'); wait_for('go')"), oracle.stage("second", "say('busy'); wait_for('end')")
    )
    await oracle.heard("busy", times=2)
    queues = ["maintenance", "preprocessing", "default", "evaluation", "training"]
    pipelines = [await headway.submit(stage(queue)) for queue in queues]
    await until(lambda: installation.jobs_waiting() == 5, "not all were dispatched")

    oracle.say("go")

    for pipeline in pipelines:
        assert (await headway.ended(pipeline)).status == "completed"
    assert oracle.words()[2:] == queues[::-1]
    oracle.say("end")
    assert (await headway.ended(blockers)).status == "completed"


async def test_in_a_queue_the_pipeline_of_the_higher_priority_goes_first(
    headway: Headway, installation: Installation, oracle: Oracle
):
    blockers = await headway.submit(
        oracle.stage("first", "say('busy'); wait_for('go')"), oracle.stage("second", "say('busy'); wait_for('end')")
    )
    await oracle.heard("busy", times=2)
    pipelines = [
        await headway.submit(oracle.stage("only", f"say('priority-{priority}')"), priority=priority)
        for priority in (1, 10, 5)
    ]
    await until(lambda: installation.jobs_waiting() == 3, "not all were dispatched")

    oracle.say("go")

    for pipeline in pipelines:
        await headway.ended(pipeline)
    assert oracle.words()[2:] == ["priority-10", "priority-5", "priority-1"]
    oracle.say("end")
    await headway.ended(blockers)


async def test_a_deleted_pipeline_leaves_neither_rows_nor_artifacts(
    headway: Headway, installation: Installation, oracle: Oracle
):
    code = "report(type='checkpoint', path='x', step=1); report(type='metrics', step=1, values={'loss': 1})"
    pipeline = await headway.run(oracle.stage("a", code), noop("b", "a"))
    kept = await headway.run(oracle.stage("a", ""))
    assert installation.artifacts(pipeline, "a").is_dir()
    tables = ("stages", "dependencies", "attempts", "events", "checkpoints", "metric_series", "metric_points")
    counts = " + ".join(f"(SELECT count(*) FROM {table} WHERE pipeline_id = p.id)" for table in tables)
    rows = await installation.query(f"SELECT id, {counts} AS rows FROM pipelines AS p WHERE uuid = $1", pipeline.uuid)
    assert rows[0]["rows"] > 12

    await headway.delete(pipeline.uuid)

    left = [await installation.query(f"SELECT FROM {table} WHERE pipeline_id = $1", rows[0]["id"]) for table in tables]
    assert left == [[]] * len(tables)
    assert not installation.artifacts(pipeline, "a").parents[1].exists()
    assert installation.artifacts(kept, "a").is_dir()
