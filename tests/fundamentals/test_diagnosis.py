"""Diagnosis: why a stage failed is said with the stage, in its event, and in the list of failures."""

from tests.support.installation import Headway, stage_of
from tests.support.processes import Oracle


async def test_a_failed_stage_says_why_and_what_to_do(headway: Headway, oracle: Oracle):
    pipeline = await headway.run(oracle.stage("train", "import flash_attn_that_is_not_here"))

    train = stage_of(pipeline, "train")
    assert train.diagnosis is not None
    assert train.diagnosis.category == "import_error"
    assert train.diagnosis.outlook == "never"
    assert train.diagnosis.root_line == "ModuleNotFoundError: No module named 'flash_attn_that_is_not_here'"
    assert "flash_attn_that_is_not_here" in train.diagnosis.remedy
    failed = await headway.event(pipeline.uuid, "stage.failed", "train")
    assert failed.data["diagnosis"]["fingerprint"] == train.diagnosis.fingerprint


async def test_each_attempt_is_diagnosed_and_a_success_forgets_it(headway: Headway, oracle: Oracle):
    code = "attempt < 2 and os.kill(os.getpid(), 9)"
    pipeline = await headway.run(oracle.stage("flaky", code, max_retries=1, retry_delay=0))

    flaky = stage_of(pipeline, "flaky")
    assert (flaky.status, flaky.diagnosis) == ("completed", None)
    attempts = (await headway.tasks.get(flaky.task_id)).attempts
    categories = [each.diagnosis and each.diagnosis.category for each in attempts]
    # The count of the kernel's kills is the machine's: another test may have had it kill something meanwhile.
    assert categories in (["sigkill_unconfirmed", None], ["host_oom_kill", None])


async def test_a_hang_is_told_from_too_much_work(headway: Headway, oracle: Oracle):
    work = "report(type='progress', step={}, total=100)"
    hangs = oracle.stage("hangs", f"{work.format(1)}; forever()", timeout=1)
    works = oracle.stage("works", f"for n in range(99): {work.format('n')}; time.sleep(0.05)", timeout=1)
    pipeline = await headway.run(hangs, works)

    found = {stage.name: stage.diagnosis and stage.diagnosis.category for stage in pipeline.stages}
    assert found == {"hangs": "hang_no_progress", "works": "wall_timeout"}


async def test_failures_of_one_kind_are_counted_together(headway: Headway, oracle: Oracle):
    def stage(name: str, number: int):
        return oracle.stage(name, f"def load(n): raise ValueError(f'shard {{n}} is odd')\nload({number})")

    pipeline = await headway.run(stage("a", 1), stage("b", 2))

    (kind,) = (await headway.failures.list(pipeline=pipeline.uuid)).items
    assert (kind.category, kind.count, kind.tasks) == ("user_exception", 2, ["run_command"])
    assert set(kind.task_ids) == {stage.task_id for stage in pipeline.stages}
