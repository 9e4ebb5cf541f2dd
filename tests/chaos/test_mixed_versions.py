"""A rolling deploy: workers of two versions on the same queues; nothing is lost, and nothing burnt."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.installation import ROOT, Headway, Installation, durable, is_gapless, noop
from tests.support.processes import Process

pytestmark = pytest.mark.chaos

OLDER = ROOT / "tests" / "support" / "older"
COSTS = "SELECT name, attempt, failures, losses FROM stages ORDER BY pipeline_id, position"
BY = "SELECT w.name FROM attempts AS a JOIN workers AS w ON w.id = a.worker_id"


def witness(name: str, log: Path, *after: str, **params: Any) -> dict[str, Any]:
    """A stage of a task that plugs in."""
    return {"name": name, "task": "witness", "depends_on": after, "params": {"key": "k", "log": str(log), **params}}


def an_older_worker(installation: Installation, monkeypatch: pytest.MonkeyPatch, **settings: object) -> Process:
    """One that does not know the task ``noop``."""
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join((str(OLDER), str(ROOT))))
        return installation.worker(**settings)


async def test_what_only_the_newer_workers_know_waits_for_them_and_never_reaches_an_older_one(
    headway: Headway, installation: Installation, tmp_path: Path
):
    log = tmp_path / "log"
    older, newer = installation.worker(), installation.worker(task_modules="witnesses")
    await installation.ready()
    stages = [witness("a", log), noop("b", "a"), witness("c", log, "b"), noop("d")]
    pipelines = [await headway.submit(*stages) for _ in range(15)]
    assert {(await headway.ended(each)).status for each in pipelines} == {"completed"}

    newer.kill()
    waiting = await headway.submit(*stages)
    await headway.event(waiting, "stage.completed", "d")
    assert (await headway.stage(waiting, "a")).attempt == 0
    another = installation.worker(task_modules="witnesses")

    assert (await headway.ended(waiting)).status == "completed"
    assert {tuple(row)[1:] for row in await installation.query(COSTS)} == {(1, 0, 0)}
    claimed = await installation.query(f"{BY} JOIN stages AS s USING (pipeline_id, position) WHERE s.task = 'witness'")
    assert {int(row["name"].rpartition(":")[2]) for row in claimed} == {newer.pid, another.pid}
    assert older.is_running


async def test_a_job_that_an_older_worker_gets_and_does_not_know_goes_back_and_costs_no_retry(
    headway: Headway, installation: Installation, monkeypatch: pytest.MonkeyPatch
):
    first = installation.worker()
    await installation.ready()  # what it knows is registered
    first.kill()
    older = an_older_worker(installation, monkeypatch)
    await installation.ready()
    stuck = await headway.submit(noop("a"), max_retries=0)
    handed_back = await headway.event(stuck, "stage.retrying", "a")
    assert handed_back.data["error"]["code"] == "task_unknown"
    newer = installation.worker()
    more = [await headway.submit(noop("a"), noop("b", "a"), noop("c", "a"), max_retries=0) for _ in range(10)]

    for pipeline in (stuck, *more):
        events = await headway.history(pipeline)
        assert events[-1].type == "pipeline.completed"
        assert is_gapless(events)
        unknown = [each for each in durable(events) if each.type == "stage.retrying"]
        assert {each.data["error"]["code"] for each in unknown} <= {"task_unknown"}
    assert {(row["failures"], row["losses"]) for row in await installation.query(COSTS)} == {(0, 0)}
    completed = await installation.query(f"{BY} WHERE a.outcome = 'completed'")
    assert {int(row["name"].rpartition(":")[2]) for row in completed} == {newer.pid}
    assert older.is_running
