"""Why attempts failed: kept with their outcome, told in its event, counted by kind, seen again by newer rules."""

import errno
from datetime import timedelta

import pytest

from app.artifacts import LOG, attempt_directory
from app.core.diagnosis import RULE_VERSION, Evidence, diagnose
from app.db import failures as db
from app.db.pool import connection
from app.errors import InvalidRequest
from app.services import diagnosis, failures, pipelines, stages, tasks
from app.services.diagnosis import scan_failed_jobs
from schemas.diagnosis import Category
from schemas.states import Outcome
from tests.support.pipelines import PAIR, fan, submit
from tests.support.workers import a_worker, ending

ROWS = "SELECT position, attempt, category, rule_version FROM failures ORDER BY pipeline_id, position, attempt"
OLDER = "UPDATE failures SET diagnosis = diagnosis || $1::jsonb"
OUTDATED = '{"category": "old", "rule_version": 0, "facts": {"oom_kills": 1}}'


def because(message="ValueError: bad", **more):
    error = {"code": "task_error", "message": message, **more}
    return {"error": error, "diagnosis": diagnose(Evidence.of(error))}


async def kinds(pool, **filters):
    page = await failures.list_page(pool, **filters)
    assert page.next_cursor is None
    return {each.root_line: each.count for each in page.items}


async def test_a_diagnosis_is_shown_with_the_stage_its_attempt_and_the_event(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", **because("ModuleNotFoundError: No module named 'x'"))
    (stage,) = (await pipelines.get(pool, pipeline.uuid)).stages
    assert (stage.diagnosis.category, stage.diagnosis.outlook) == ("import_error", "never")
    (attempt,) = (await tasks.get(pool, stage.task_id)).attempts
    assert attempt.diagnosis == stage.diagnosis
    told = (await pipeline.told("stage.failed"))["diagnosis"]
    assert (told["fingerprint"], told["root_line"]) == (stage.diagnosis.fingerprint, stage.diagnosis.root_line)


async def test_a_retry_is_told_with_the_diagnosis_of_what_it_repeats(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=0, **because("ConnectionResetError: [Errno 104]"))
    assert (await pipeline.told("stage.retrying"))["diagnosis"]["category"] == "network_flake"


async def test_a_stage_that_completes_in_the_end_has_no_diagnosis(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=0, **because())
    await pipeline.release()
    await worker.complete(pipeline, "a")
    assert (await pipeline.stage())["diagnosis"] is None
    assert [each.diagnosis is None for each in (await tasks.get(pool, (await pipeline.stage())["uuid"])).attempts] == [
        False,
        True,
    ]


async def test_each_attempt_that_failed_is_a_failure_and_no_other(pool):
    pipeline, worker = await submit(pool, fan(5)), await a_worker(pool)
    outcomes = [*Outcome]
    claims = await worker.claim(pipeline, *fan(5))
    await worker.report(*(ending(claim, outcome) for claim, outcome in zip(claims, outcomes, strict=True)))
    rows = {outcomes[row["position"]] for row in await pool.fetch(ROWS)}
    assert rows == {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST}


async def test_a_lost_worker_is_diagnosed_by_whoever_notices(pool):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.start(pipeline)
    await worker.lose_lease()
    await stages.rescue(pool, 10)
    diagnosis = (await pipeline.told("stage.retrying"))["diagnosis"]
    assert (diagnosis["category"], diagnosis["domain"], diagnosis["outlook"]) == ("node_lost", "infra", "free")


async def test_failures_are_counted_by_kind_whatever_the_numbers_in_their_lines(pool):
    pipeline, worker = await submit(pool, fan(4), task="noop"), await a_worker(pool)
    for number, name in enumerate(fan(3)):
        await worker.fail(pipeline, name, **because(f"ValueError: batch {number} of /data/{number} is bad"))
    await worker.fail(pipeline, "s3", **because("KeyError: 'x'"))
    newest, older = (await failures.list_page(pool)).items
    assert (newest.root_line, newest.count, newest.tasks) == ("KeyError: 'x'", 1, ["noop"])
    assert (older.count, older.category, older.first_seen < older.last_seen) == (3, "user_exception", True)
    assert older.root_line == "ValueError: batch 2 of /data/2 is bad"
    assert older.task_ids[0] == (await pipeline.stage("s2"))["uuid"]
    assert len(older.task_ids) == 3


async def test_filters_say_what_is_counted(pool):
    one, other, worker = await submit(pool, PAIR), await submit(pool), await a_worker(pool)
    await worker.fail(one, "a", **because("ValueError: one"))
    await worker.fail(one, "b", **because("MemoryError"))
    (first,) = (await failures.list_page(pool, category=Category.HOST_OOM_SOFT)).items
    await worker.fail(other, "a", **because("ValueError: two"))
    assert await kinds(pool, pipeline=one.uuid) == {"ValueError: one": 1, "MemoryError": 1}
    assert await kinds(pool, pipeline=worker.id) == {}
    assert await kinds(pool, category=Category.HOST_OOM_SOFT) == {"MemoryError": 1}
    assert await kinds(pool, task="train_model") == {}
    assert len(await kinds(pool, task="noop")) == 3
    moment = first.last_seen
    assert await kinds(pool, seen_before=moment) == {"ValueError: one": 1}
    assert await kinds(pool, seen_after=moment) == {"MemoryError": 1, "ValueError: two": 1}
    assert await kinds(pool, seen_after=moment + timedelta(days=1)) == {}


@pytest.mark.parametrize("walked", [3, 100])
async def test_pages_show_every_failure_once_whatever_fails_meanwhile(pool, monkeypatch, walked):
    monkeypatch.setattr(db, "WALKED_MAX", walked)
    pipeline, worker = await submit(pool, fan(9)), await a_worker(pool)
    names = [*fan(9)]
    words = ["one", "two", "three", "four", "one", "two", "one"]
    for name, word in zip(names, words, strict=False):
        await worker.fail(pipeline, name, **because(f"ValueError: {word}"))
    found, cursor = [], None
    while True:
        page = await failures.list_page(pool, cursor=cursor, limit=2)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
        if len(names) > len(words):
            await worker.fail(pipeline, names.pop(), **because("ValueError: late"))
    counts = {}
    for each in found:
        counts[each.root_line] = counts.get(each.root_line, 0) + each.count
    assert counts == {f"ValueError: {word}": words.count(word) for word in words}


async def test_a_cursor_of_somebody_else_is_refused(pool):
    for cursor in ("x", "WzcsMV0"):
        with pytest.raises(InvalidRequest):
            await failures.list_page(pool, cursor=cursor)


async def test_a_scan_diagnoses_what_nobody_has_with_the_log_that_is_still_there(pool, tmp_path):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    (with_log,) = await worker.claim(pipeline, "a")
    directory = attempt_directory(tmp_path, pipeline.uuid, "a", 1)
    directory.mkdir(parents=True)
    (directory / LOG).write_text("cp: error writing 'x': No space left on device\n")
    failed = {"error": {"code": "exit_nonzero", "message": "The process exited with code 1.", "exit_code": 1}}
    await worker.report(ending(with_log, Outcome.FAILED, **failed))
    await worker.fail(pipeline, "b", error={**failed["error"], "log_tail": "MemoryError\n"})
    assert await kinds(pool) == {}
    assert await scan_failed_jobs(pool, tmp_path) == 2
    rows = [(row["category"], row["rule_version"]) for row in await pool.fetch(ROWS)]
    assert rows == [("disk_full", RULE_VERSION), ("unknown", RULE_VERSION)]
    assert (await pipelines.get(pool, pipeline.uuid)).stages[0].diagnosis.category == "disk_full"
    assert await scan_failed_jobs(pool, tmp_path) == 0


async def test_a_scan_takes_older_rules_for_outdated_and_keeps_the_facts(pool, tmp_path):
    pipeline, worker = await submit(pool, fan(3)), await a_worker(pool)
    error = {"code": "killed_by_signal", "message": "", "signal": 9}
    for name in fan(3):
        await worker.fail(pipeline, name, error=error, diagnosis=diagnose(Evidence.of(error)))
    await pool.execute(OLDER, OUTDATED)
    assert await scan_failed_jobs(pool, tmp_path, limit=2) == 2
    assert await scan_failed_jobs(pool, tmp_path, limit=2) == 1
    assert {row["category"] for row in await pool.fetch(ROWS)} == {"host_oom_kill"}


async def test_a_diagnosis_is_replaced_by_newer_rules_only(pool):
    """Two scans at once come to the same, and the slower one may be of an older version."""
    pipeline, worker = await submit(pool), await a_worker(pool)
    error = {"code": "x", "message": "MemoryError"}
    await worker.fail(pipeline, "a", error=error, diagnosis=diagnose(Evidence.of(error)))
    unknown = diagnose(Evidence(code=""))
    async with connection(pool) as c:
        assert await db.rediagnose(c, [db.Rediagnosed((pipeline.id, 0, 1), unknown)]) == 0
    assert [row["category"] for row in await pool.fetch(ROWS)] == ["host_oom_soft"]


async def test_a_failure_that_cannot_be_read_again_is_unknown_and_holds_up_no_other(pool, tmp_path, monkeypatch):
    pipeline, worker = await submit(pool, fan(3)), await a_worker(pool)
    error = {"code": "x", "message": "MemoryError"}
    for name in fan(3):
        await worker.fail(pipeline, name, error=error, diagnosis=diagnose(Evidence.of(error)))
    await pool.execute(OLDER, '{"rule_version": 0}')
    await pool.execute(f"{OLDER} WHERE position = 0", '{"facts": {"oom_kills": "many"}}')
    open_log = diagnosis.open_log

    def on_a_broken_disk(data_dir, pipeline, stage, attempt):
        if stage == "s1":
            raise OSError(errno.EIO, "Input/output error")
        return open_log(data_dir, pipeline, stage, attempt)

    monkeypatch.setattr(diagnosis, "open_log", on_a_broken_disk)
    assert await scan_failed_jobs(pool, tmp_path) == 3
    rows = [(row["category"], row["rule_version"]) for row in await pool.fetch(ROWS)]
    assert rows == [(name, RULE_VERSION) for name in ("unknown", "unknown", "host_oom_soft")]
    assert await scan_failed_jobs(pool, tmp_path) == 0


async def test_a_stage_that_failed_again_shows_why_it_did_so_and_not_what_a_scan_says_of_the_attempt_before(
    pool, tmp_path
):
    pipeline, worker = await submit(pool), await a_worker(pool)
    error = {"code": "x", "message": "broke"}
    await worker.fail(pipeline, "a", retry_delay_s=0, error=error)
    await pipeline.release()
    newest = diagnose(Evidence.of({"code": "x", "message": "MemoryError"}))
    await worker.fail(pipeline, "a", error=error, diagnosis=newest)
    assert await scan_failed_jobs(pool, tmp_path) == 1
    assert (await pipelines.get(pool, pipeline.uuid)).stages[0].diagnosis.category == newest.category


async def test_a_stage_that_has_gone_on_does_not_show_what_a_scan_says_of_an_earlier_attempt(pool, tmp_path):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a", retry_delay_s=0, error={"code": "x", "message": "MemoryError"})
    await pipeline.release()
    await worker.start(pipeline)
    assert await scan_failed_jobs(pool, tmp_path) == 1
    assert (await pipeline.stage())["diagnosis"] is None
