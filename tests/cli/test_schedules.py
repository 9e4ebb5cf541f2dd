"""Templates and schedules from the command line; and where the mistakes of a file are, whoever finds them."""

import json

from tests.cli.programs import Up
from tests.cli.test_lint import FIVE, FIVE_PLACES

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
