"""The commands on tasks, queues, workers and pipelines against a running Headway, and what their ends mean."""

import json
import signal
import subprocess
from typing import Any

import pytest

from tests.cli.programs import HEADWAY, Up, environment, wait_until

UNKNOWN = "00000000-0000-0000-0000-000000000000"


def task(up: Up, *arguments: str) -> str:
    """Submit a task and return its id."""
    done = up("tasks", "submit", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def answer(up: Up, *arguments: str) -> Any:
    return json.loads(up(*arguments, "-o", "json").stdout)


def running(up: Up, task_id: str) -> str:
    wait_until(lambda: answer(up, "tasks", "show", task_id)["status"] == "running")
    return task_id


def sh(script: str) -> tuple[str, str, str]:
    return ("run_command", "-p", f"argv={json.dumps(['sh', '-c', script])}")


def test_a_task_is_submitted_waited_for_and_its_result_read(up: Up):
    done = up("tasks", "submit", *sh("echo hello"), "--wait")
    assert done.returncode == 0, done.stderr
    task_id = done.stdout.strip()
    assert json.loads(up("tasks", "result", task_id).stdout) == {"exit_code": 0, "last_lines": ["hello"]}
    assert answer(up, "tasks", "ls", "--task", "run_command")["items"][0]["task_id"] == task_id
    assert task_id in up("tasks", "ls").stdout
    assert "run_command" in up("tasks", "show", task_id).stdout


def test_params_have_the_types_that_yaml_gives_them(up: Up):
    assert answer(up, "tasks", "submit", "noop", "-p", "sleep_s=0.5")["params"] == {"sleep_s": 0.5}
    refused = up("tasks", "submit", "noop", "-p", "sleep_s=long")
    assert (refused.returncode, "/params/sleep_s" in refused.stderr) == (2, True)


def test_the_same_idempotency_key_is_the_same_task(up: Up):
    options = ("noop", "--idempotency-key", "nightly-1")
    assert task(up, *options) == task(up, *options)


def test_a_failed_task_is_exit_code_1_and_a_cancelled_one_3(up: Up):
    failed = up("tasks", "submit", *sh("exit 7"), "--wait")
    assert (failed.returncode, "exited with code 7" in failed.stderr) == (1, True)
    cancelled = running(up, task(up, "noop", "-p", "sleep_s=600"))
    assert up("tasks", "cancel", cancelled).returncode == 0
    assert up("tasks", "result", cancelled, "--wait").returncode == 3
    assert up("tasks", "retry", failed.stdout.strip()).returncode == 0
    assert up("tasks", "result", failed.stdout.strip(), "--wait").returncode == 1
    assert [each["attempt"] for each in answer(up, "tasks", "show", failed.stdout.strip())["attempts"]] == [1, 2]


def test_why_a_task_failed_is_shown_and_listed(up: Up):
    failed = up("tasks", "submit", *sh("python3 -I -c 'import nothing_of_that_name'"), "--wait").stdout.strip()
    shown = up("tasks", "show", failed).stdout
    assert "import_error (workload), another attempt: never" in shown
    assert "The module nothing_of_that_name is missing" in shown
    listed = up("failures", "--category", "import_error").stdout
    assert "No module named 'nothing_of_that_name'" in listed
    assert failed in listed
    assert answer(up, "failures", "ls", "--task", "run_command")["items"][0]["category"] == "import_error"
    assert answer(up, "failures", "--seen-before", "2020-01-01")["items"] == []


def test_waiting_too_long_is_exit_code_124_and_an_unknown_task_5(up: Up):
    done = up("tasks", "submit", "noop", "-p", "sleep_s=600", "--wait", "--timeout", "0.5")
    assert done.returncode == 124
    up("tasks", "cancel", done.stdout.strip())
    for command in ("show", "result", "logs", "metrics", "cancel", "retry"):
        assert up("tasks", command, UNKNOWN).returncode == 5, command


def test_ctrl_c_while_waiting_detaches_with_130_and_the_task_goes_on(up: Up):
    task_id = running(up, task(up, *sh("echo begun; sleep 600")))
    command = [*HEADWAY, "tasks", "logs", "-f", task_id]
    with subprocess.Popen(
        command, cwd=up.cwd, env=environment(**up.settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "begun\n"
        following.send_signal(signal.SIGINT)
        _, said = following.communicate(timeout=30)
    assert following.returncode == 130
    assert "headway tasks logs -f" in said
    assert answer(up, "tasks", "show", task_id)["status"] == "running"
    up("tasks", "cancel", task_id)


def test_logs_are_printed_and_followed_to_the_end_of_the_task(up: Up):
    task_id = task(up, *sh("echo one; sleep 1; echo two; exit 3"))
    followed = up("tasks", "logs", "-f", task_id)
    assert (followed.stdout, followed.returncode) == ("one\ntwo\n", 1)
    assert up("tasks", "logs", task_id, "--tail", "1", "--attempt", "1").stdout == "two\n"
    assert answer(up, "tasks", "logs", task_id) == {"attempt": 1, "text": "one\ntwo\n"}


def test_a_paused_queue_holds_tasks_back_and_purge_cancels_them_only_with_yes(up: Up):
    assert "paused" in up("queues", "pause", "evaluation").stdout
    waiting = task(up, "noop", "--queue", "evaluation")
    row = next(each for each in answer(up, "queues")["items"] if each["name"] == "evaluation")
    assert (row["paused"], row["queued"]) == (True, 1)
    refused = up("tasks", "purge", "--queue", "evaluation")
    assert (refused.returncode, "1 queued tasks" in refused.stderr) == (2, True)
    assert answer(up, "tasks", "purge", "--queue", "evaluation", "--yes") == {"purged": 1}
    assert up("tasks", "result", waiting, "--wait").returncode == 3
    assert up("queues", "resume", "evaluation").returncode == 0
    assert "paused" not in up("queues", "ls").stdout
    assert up("queues", "pause", "nope").returncode == 2


def test_workers_are_listed_with_their_slots(up: Up):
    assert [each["state"] for each in answer(up, "workers")["items"]] == ["live"]
    assert "live" in up("workers", "ls").stdout


def test_metrics_of_a_training_are_listed(up: Up):
    line = '{"type": "metrics", "step": 1, "values": {"loss": 0.5}}'
    task_id = up("tasks", "submit", *sh(f"echo '{line}' >> $HEADWAY_EVENTS; sleep 2"), "--wait").stdout.strip()
    assert "loss" in up("tasks", "metrics", task_id).stdout
    assert answer(up, "tasks", "metrics", task_id, "--name", "loss")["items"][0]["points"][0][1] == 0.5


def test_the_verbs_on_pipelines(up: Up):
    spec = {"name": "verbs", "labels": {"team": "vision"}, "stages": [{"name": "a", "task": "noop"}]}
    (up.cwd / "verbs.json").write_text(json.dumps(spec))
    done = up("submit", "verbs.json", "-p", "a.sleep_s=600")
    uuid = done.stdout.strip()
    for verb, status in {"pause": "paused", "resume": "running"}.items():
        assert up("pipelines", verb, uuid).stdout.strip() == f"{uuid} {status}"
    assert up("pipelines", "start", uuid).returncode == 1  # it was started before
    assert up("pipelines", "rm", uuid).returncode == 1  # it is under way
    assert up("pipelines", "cancel", uuid).returncode == 0
    assert up("pipelines", "watch", uuid).returncode == 3
    assert up("pipelines", "retry", uuid).returncode == 0
    up("pipelines", "cancel", uuid)
    up("pipelines", "watch", uuid)
    for filters in (["--name", "verbs"], ["--label", "team=vision"], ["--status", "cancelled", "--name", "verbs"]):
        assert [each["uuid"] for each in answer(up, "pipelines", "ls", *filters)["items"]] == [uuid]
    assert answer(up, "pipelines", "ls", "--label", "team=other")["items"] == []
    assert up("pipelines", "rm", uuid).stdout.strip() == f"{uuid} deleted"
    assert up("pipelines", "show", uuid).returncode == 5


def test_the_verbs_on_many_are_counted_first_and_done_when_said_twice(up: Up):
    stage = {"name": "a", "task": "noop", "params": {"sleep_s": 600}}
    (up.cwd / "many.json").write_text(json.dumps({"name": "many", "labels": {"set": "many"}, "stages": [stage]}))
    uuids = {up("submit", "many.json").stdout.strip() for _ in range(3)}
    counted = up("pipelines", "cancel", "--label", "set=many")
    assert (counted.returncode, "This would cancel 3 pipelines" in counted.stderr) == (2, True)
    assert up("pipelines", "cancel", "--yes").returncode == 2  # which ones?
    assert up("pipelines", "cancel", *uuids, "--name", "many").returncode == 2  # one way or the other
    done = up("pipelines", "cancel", "--label", "set=many", "--yes")
    assert (done.returncode, {line.split()[0] for line in done.stdout.splitlines()}) == (0, uuids)
    for uuid in uuids:
        up("pipelines", "watch", uuid)
    done = up("pipelines", "rm", "--name", "many", "--status", "cancelled", "--yes", "-o", "json")
    assert {item["uuid"]: item["ok"] for item in map(json.loads, done.stdout.splitlines())} == dict.fromkeys(
        uuids, True
    )
    assert answer(up, "pipelines", "ls", "--name", "many")["items"] == []


def test_a_pipeline_is_changed_and_drawn(up: Up):
    stages = [{"name": "a", "task": "noop"}, {"name": "b", "task": "noop", "depends_on": ["a"]}]
    (up.cwd / "graph.json").write_text(json.dumps({"name": "graph", "stages": stages}))
    uuid = up("submit", "graph.json", "--wait").stdout.strip()
    assert [line.split() for line in up("pipelines", "graph", uuid).stdout.splitlines()[1:]] == [
        ["0", "a", "completed"],
        ["1", "b", "completed", "a"],
    ]
    assert answer(up, "pipelines", "graph", uuid)["levels"] == [["a"], ["b"]]
    changed = answer(up, "pipelines", "set", uuid, "--priority", "9", "--label", "team=vision", "--name", "renamed")
    assert (changed["priority"], changed["labels"], changed["name"]) == (9, {"team": "vision"}, "renamed")
    assert up("pipelines", "set", uuid).returncode == 2
    assert up("pipelines", "set", uuid, "--priority", "11").returncode == 2


def test_events_of_all_pipelines_are_printed_until_ctrl_c_and_resumed_behind_a_cursor(up: Up):
    def follow(*options: str) -> subprocess.Popen[str]:
        command = [*HEADWAY, "events", "--type", "pipeline.completed", "-o", "json", *options]
        return subprocess.Popen(command, cwd=up.cwd, env=environment(**up.settings), stdout=subprocess.PIPE, text=True)

    def first(process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        seen = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        process.stdout.close()
        return seen

    task(up, "noop", "--wait", "--label", "events=one")
    one = first(follow("--after", "begin", "--label", "events=one"))
    assert one["event"]["type"] == "pipeline.completed"
    pipeline = answer(up, "tasks", "show", task(up, "noop", "--wait"))["pipeline"]
    assert first(follow("--after", one["cursor"]))["event"]["source"].endswith(pipeline)


def test_a_refusal_of_one_does_not_keep_the_others_from_a_verb(up: Up):
    uuid = up.submit({"name": "a", "task": "noop", "params": {"sleep_s": 600}}).stdout.strip()
    done = up("pipelines", "cancel", UNKNOWN, uuid)
    assert done.returncode == 5
    assert done.stdout.startswith(uuid)


@pytest.mark.parametrize("noun", ["pipelines", "tasks", "queues", "workers", "failures"])
def test_a_wrong_token_is_exit_code_4(up: Up, noun: str):
    assert up(noun, "ls", HEADWAY_API_TOKEN="wrong").returncode == 4


def test_lint_asks_the_api_which_knows_all_tasks(up: Up):
    spec = json.dumps({"name": "p", "stages": [{"name": "a", "task": "nope"}]})
    assert up("lint", "-", "--offline", stdin=spec).returncode == 0
    done = up("lint", "-", stdin=spec)
    assert (done.returncode, "/stages/0/task" in done.stdout) == (1, True)


SAVE = """
for step in 1 2 3; do
  echo weights > $HEADWAY_CHECKPOINT_DIR/$step
  echo '{"type": "checkpoint", "path": "'$HEADWAY_CHECKPOINT_DIR/$step'", "step": '$step'}' >> $HEADWAY_EVENTS
done
"""


def test_checkpoints_are_listed_pinned_and_unpinned(up: Up):
    task_id = task(up, *sh(SAVE), "--wait")
    found = answer(up, "checkpoints", "ls", "--task-id", task_id)["items"]
    assert [(each["step"], each["bytes"]) for each in found] == [(3, 8), (2, 8), (1, 8)]
    pinned = up("checkpoints", "pin", str(found[0]["id"]), "999999999", str(found[1]["id"]))
    assert (pinned.returncode, pinned.stdout.count(" complete, pinned ")) == (5, 2)
    assert not answer(up, "checkpoints", "unpin", str(found[0]["id"]))["pinned"]
    table = up("checkpoints", "ls", "--pipeline", found[0]["pipeline"], "--stage", found[0]["stage"], "--limit", "2")
    assert (table.stdout.count("complete, pinned"), table.stdout.count("8 B")) == (1, 2)
    assert "--cursor" in table.stderr
