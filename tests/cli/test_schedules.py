"""Templates and schedules from the command line; and where the mistakes of a file are, whoever finds them."""

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

from app.commands import periodic_tasks
from schemas.periodic import PeriodicRun, PeriodicTask, PeriodicTaskPage, SlotOutcome
from tests.cli.programs import Up
from tests.cli.test_lint import FIVE, FIVE_PLACES

NOW = datetime(2026, 11, 24, 3, 0, 10, tzinfo=UTC)
TEMPLATE = """\
name: pause
params_schema:
  type: object
  properties:
    config: {type: object, properties: {sleep_s: {type: number}}}
pipeline:
  name: pause
  stages:
    - name: a
      task: noop
      params:
        sleep_s: {from: params.config.sleep_s}
"""
WRONG = TEMPLATE.replace("task: noop", "task: nop").replace("params.config.sleep_s", "params.confg.sleep_s")


def test_five_mistakes_are_five_lines_with_their_columns(up: Up):
    (up.cwd / "five.yaml").write_text(FIVE)
    for command, wanted in (("submit", 2), ("lint", 1)):
        done = up(command, "five.yaml")
        lines = (done.stdout + done.stderr).splitlines()
        places = [": ".join(line.split(": ")[:2]) for line in lines if line.startswith("five.yaml:")]
        assert (done.returncode, places) == (wanted, [f"five.yaml:{place}" for place in FIVE_PLACES])


def test_a_template_is_stored_and_submitted_with_params_of_their_types(up: Up):
    refused = up("templates", "create", "-", stdin=WRONG)
    assert refused.returncode == 2
    assert "stdin:10:7: /pipeline/stages/0/task: no worker runs a task named 'nop'" in refused.stderr
    assert "stdin:12:9: /pipeline/stages/0/params/sleep_s: params_schema has no param 'confg.sleep_s'" in refused.stderr
    assert up("templates", "create", "-", stdin=TEMPLATE).stdout == "pause 1\n"
    shown = up("templates").stdout
    assert "training" in shown
    assert "pause" in shown
    done = up("templates", "submit", "pause", "-p", "config.sleep_s=0.01", "--wait")
    assert done.returncode == 0, done.stderr
    pipeline = json.loads(up("pipelines", "show", done.stdout.strip(), "-o", "json").stdout)
    assert pipeline["stages"][0]["params"] == {"sleep_s": 0.01}
    refused = up("templates", "submit", "training", "-p", "training_config.lr=1")
    assert refused.returncode == 2
    assert "/params/training_config/lr" in refused.stderr
    assert "/params: template training needs the param 'dataset'" in refused.stderr


def test_a_schedule_is_created_shown_paused_resumed_and_deleted(up: Up):
    made = up("schedules", "create", "often", "--cron", "* * * * *", "--file", "-", stdin='{"name": "p", "stages": 1}')
    assert (made.returncode, "stdin:1:15: /stages" in made.stderr) == (2, True), made.stderr
    options = ("--cron", "30 2 * * 1-5", "--timezone", "Europe/Berlin", "--template", "training")
    made = up("schedules", "create", "nightly", *options, "-p", "dataset=builtin:digits", "--overlap", "buffer_one")
    assert (made.returncode, made.stdout.startswith("nightly next ")) == (0, True), made.stderr
    assert "Europe/Berlin" in up("schedules", "ls").stdout
    assert "template training at 30 2 * * 1-5" in up("schedules", "show", "nightly").stdout
    assert up("schedules", "pause", "nightly").stdout == "nightly paused\n"
    assert up("schedules", "resume", "nightly").stdout == made.stdout
    assert up("schedules", "delete", "nightly").stdout == "nightly deleted\n"
    assert up("schedules", "show", "nightly").returncode == 5


async def test_periodic_tasks_are_a_table_of_how_they_do(monkeypatch, capsys):
    error = {"code": "exception", "message": "OSError: no disk"}
    times = {"slot": NOW, "started_at": NOW, "finished_at": NOW, "duration_s": 0.5}
    failed = PeriodicRun(**times, worker="gpu-7:4711", outcome=SlotOutcome.FAILED, done=None, error=error)
    plan = {"next_run_at": NOW, "last_success_at": None, "last_missed_at": None}
    page = PeriodicTaskPage(
        items=[
            PeriodicTask(**plan, name="prune_slots", interval_s=3_600, last_run=failed, missed=7),
            PeriodicTask(**plan, name="scan_failed_jobs", interval_s=300, last_run=None, missed=0),
        ],
        next_cursor=None,
    )

    async def answer():
        return page

    @asynccontextmanager
    async def connect():
        yield SimpleNamespace(periodic_tasks=answer)

    monkeypatch.setattr(periodic_tasks, "connect", connect)
    assert await periodic_tasks.list_periodic_tasks() == 0
    header, pruning, scanning = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header[:6] == ["task", "every", "next", "last", "run", "outcome"]
    assert pruning[:3] == ["prune_slots", "1", "h"]
    assert pruning[-7:] == ["failed", "7", "0.5", "s", "OSError:", "no", "disk"]
    assert scanning[:3] == ["scan_failed_jobs", "5", "min"]
    assert await periodic_tasks.list_periodic_tasks(output="json") == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["missed"] == 7


def test_what_workers_can_run_is_listed_with_the_params_of_each(up: Up):
    assert up("periodic-tasks", "-o", "json").stdout.startswith('{"items":[')
    listed = up("task-types").stdout
    assert "Train a classifier, epoch by epoch, with a checkpoint to resume from." in listed
    assert [line.split()[0] for line in listed.splitlines()[1:]] == [
        *("cleanup_checkpoints", "noop", "preprocess_dataset"),
        *("run_command", "run_evaluation", "train_model"),
    ]
    shown = up("task-types", "show", "run_evaluation").stdout.splitlines()
    assert "on the queue evaluation: Score a checkpoint on rows that its training never saw." in shown[0]
    assert [line.split()[:3] for line in shown[2:]] == [
        ["dataset", "string", "needed"],
        ["checkpoint", "string", "needed"],
        ["split", "test|train|val", "test"],
    ]
    schema = json.loads(up("task-types", "show", "noop", "-o", "json").stdout)["params_schema"]
    assert schema["properties"]["sleep_s"]["maximum"] == 3_600
    unknown = up("task-types", "show", "train_modle")
    assert (unknown.returncode, "did you mean 'train_model'?" in unknown.stderr) == (5, True)
