"""Attempts: when a stage is tried again, when it is not, and what ends it early."""

from schemas.event import Event
from tests.support.installation import Headway, Installation, stage_of
from tests.support.processes import Oracle, Watched, below

OUTCOMES = """
SELECT a.outcome FROM attempts AS a JOIN pipelines AS p ON p.id = a.pipeline_id
 WHERE p.uuid = $1 ORDER BY a.position, a.attempt"""


async def test_a_stage_that_fails_twice_completes_at_its_third_attempt(
    headway: Headway, installation: Installation, oracle: Oracle
):
    code = "say('try'); sys.exit(attempt < 3)"
    pipeline = await headway.run(oracle.stage("flaky", code, max_retries=2, retry_delay=0.2))

    assert pipeline.status == "completed"
    assert stage_of(pipeline, "flaky").attempt == 3
    assert [line.attempt for line in oracle.lines()] == [1, 2, 3]
    outcomes = await installation.query(OUTCOMES, pipeline.uuid)
    assert [row["outcome"] for row in outcomes] == ["failed", "failed", "completed"]


async def test_a_retry_waits_for_its_delay(headway: Headway, oracle: Oracle):
    code = "sys.exit(attempt < 2)"
    events = await headway.history(await headway.submit(oracle.stage("flaky", code, max_retries=1, retry_delay=0.7)))

    retrying, queued_again, *_ = [event for event in events if _is(event, "stage.retrying", "stage.queued")][1:]
    assert (retrying.type, queued_again.type) == ("stage.retrying", "stage.queued")
    assert (queued_again.time - retrying.time).total_seconds() >= 0.7


async def test_a_stage_that_has_used_up_its_retries_fails(headway: Headway, oracle: Oracle):
    pipeline = await headway.run(oracle.stage("broken", "say('try'); sys.exit(3)", max_retries=1, retry_delay=0))

    broken = stage_of(pipeline, "broken")
    assert (broken.status, broken.attempt) == ("failed", 2)
    assert oracle.words() == ["try", "try"]
    assert broken.error is not None
    assert broken.error["exit_code"] == 3
    assert pipeline.status == "failed"


async def test_an_error_that_no_retry_heals_is_not_tried_again(headway: Headway, oracle: Oracle):
    code = "report(type='error', message='no such column: price', retryable=False); sys.exit(1)"
    pipeline = await headway.run(oracle.stage("broken", code, max_retries=5, retry_delay=0))

    broken = stage_of(pipeline, "broken")
    assert (broken.status, broken.attempt) == ("failed", 1)
    assert broken.error is not None
    assert broken.error["message"] == "no such column: price"


async def test_a_stage_is_ended_at_its_timeout(headway: Headway, installation: Installation, oracle: Oracle):
    code = "os.fork(); say('runs'); forever()"
    pipeline = await headway.submit(oracle.stage("endless", code, timeout=1))
    await oracle.heard("runs", times=2)
    processes = Watched(line.pid for line in oracle.lines())

    ended = await headway.ended(pipeline)

    assert processes.living() == []
    endless = stage_of(ended, "endless")
    assert endless.status == "failed"
    assert endless.error is not None
    assert endless.error["code"] == "timed_out"
    assert endless.error["message"] == "It ran longer than its timeout of 1 s."
    assert [row["outcome"] for row in await installation.query(OUTCOMES, pipeline)] == ["timed_out"]


async def test_a_stage_that_was_timed_out_is_tried_again(headway: Headway, oracle: Oracle):
    code = "attempt == 1 and forever()"
    pipeline = await headway.run(oracle.stage("slow", code, timeout=1, max_retries=1, retry_delay=0))

    assert pipeline.status == "completed"
    assert stage_of(pipeline, "slow").attempt == 2


async def test_the_next_attempt_is_told_which_checkpoint_was_the_last(
    headway: Headway, installation: Installation, oracle: Oracle
):
    code = """
    if attempt == 1:
        for step in (20, 10):
            path = os.environ["HEADWAY_CHECKPOINT_DIR"] + f"/{step}"
            os.mkdir(path)
            report(type="checkpoint", path=path, step=step)
        sys.exit("out of memory")
    report(type="result", values={"resumed_from": os.environ["HEADWAY_RESUME_FROM"]})
    """
    pipeline = await headway.run(oracle.stage("train", code, max_retries=1, retry_delay=0))

    newest = installation.artifacts(pipeline, "train", 1) / "checkpoints" / "20"
    assert pipeline.results["train"] == {"resumed_from": str(newest)}


async def test_a_stage_stays_running_until_the_last_of_its_processes_is_gone(
    headway: Headway, installation: Installation, oracle: Oracle
):
    """Its main process ends at once, and leaves a child that has left its session and ignores SIGTERM."""
    code = """
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("child")
        forever()
    wait_for("watched")
    """
    pipeline = await headway.submit(oracle.stage("parent", code))
    child = await oracle.heard("child")
    processes = Watched([child.pid, *below(installation.runner_of(await headway.stage(pipeline, "parent")).pid)])
    oracle.say("watched")

    await headway.event(pipeline, "stage.completed", "parent")

    assert processes.living() == []


def _is(event: Event, *types: str) -> bool:
    return event.type in types
