"""``headway up`` as a whole: what it runs, what it starts again, how it ends; and the commands against it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from app.embedded import start_postgres, start_valkey
from tests.cli.programs import HEADWAY, Up, environment, exists, headway, wait_until

NOOP = {"name": "a", "task": "noop"}
LONG = {"name": "a", "task": "noop", "params": {"sleep_s": 600}}


def test_doctor_finds_everything_well_and_tells_where_it_is(up: Up):
    done = up("doctor", "-o", "json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["ok"]
    assert {check["name"]: check["status"] for check in report["checks"] if check["status"] != "ok"} == {}
    assert set(report["pids"]) == {"up", "postgres", "valkey", "api", "scheduler", "worker"}
    assert all(exists(pid) for pid in report["pids"].values())
    assert report["urls"]["api"] in up.banner
    assert (up.cwd / ".headway" / "up.json").stat().st_mode & 0o077 == 0


def test_a_pipeline_that_completes_is_exit_code_0_and_its_uuid_the_only_data(up: Up):
    done = up.submit(NOOP, options=("--wait",))
    assert done.returncode == 0, done.stderr
    shown = up("pipelines", "show", done.stdout.strip(), "-o", "json")
    assert json.loads(shown.stdout)["status"] == "completed"
    assert done.stdout.strip() in up("pipelines", "ls").stdout


def test_watching_away_from_a_terminal_prints_a_line_per_change(up: Up):
    done = up.submit(NOOP, options=("--watch",))
    changes = [line.split(" ", 1)[1] for line in done.stdout.splitlines()[1:-1]]
    assert changes == [
        "pipeline created", "pipeline started", "a queued", "a started", "a completed", "pipeline completed",
    ]  # fmt: skip


def test_watching_as_json_prints_every_event_on_a_line(up: Up):
    done = up.submit(NOOP, options=("--watch", "-o", "json"))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["id"] for event in events if event["id"]] == [str(number) for number in range(1, 7)]
    assert events[-1]["type"] == "pipeline.completed"


def test_a_pipeline_that_fails_is_exit_code_1_and_says_which_stage_and_why(up: Up):
    failing = {"name": "breaks", "task": "run_command", "params": {"argv": ["sh", "-c", "echo no data; exit 7"]}}
    done = up.submit(failing, options=("--watch",))
    assert done.returncode == 1
    assert "Stage breaks failed" in done.stdout
    assert "the end of the log of breaks:\n  no data\n" in done.stdout
    assert "  no data" in up("pipelines", "show", done.stdout.split()[0]).stdout
    waited = up.submit(failing, options=("--wait",))
    assert waited.returncode == 1
    assert "Stage breaks failed" in waited.stderr


def test_a_cancelled_pipeline_is_exit_code_3(up: Up):
    uuid = up.submit(LONG).stdout.strip()
    assert up("pipelines", "cancel", uuid).returncode == 0
    assert up("pipelines", "watch", uuid).returncode == 3


def test_what_the_api_refuses_is_exit_code_2_with_every_fault_and_its_place(up: Up):
    done = up.submit({"name": "a", "task": "nope"}, {"name": "b", "task": "noop", "depends_on": ["zz"]})
    assert done.returncode == 2
    assert "/stages/0/task" in done.stderr
    assert "/stages/1/depends_on/0" in done.stderr


def test_a_dry_run_stores_nothing(up: Up):
    before = up("pipelines", "ls", "-o", "json").stdout
    done = up.submit(NOOP, options=("--dry-run",))
    assert done.returncode == 0
    assert json.loads(done.stdout)["valid"]
    assert up("pipelines", "ls", "-o", "json").stdout == before


def test_a_wrong_token_is_exit_code_4_and_an_unknown_pipeline_5(up: Up):
    assert up("pipelines", "ls", HEADWAY_API_TOKEN="wrong").returncode == 4
    unknown = "00000000-0000-0000-0000-000000000000"
    for command in ("show", "watch", "cancel"):
        assert up("pipelines", command, unknown).returncode == 5


def test_waiting_longer_than_the_timeout_is_exit_code_124_and_the_pipeline_runs_on(up: Up):
    done = up.submit(LONG, options=("--wait", "--timeout", "0.5"))
    uuid = done.stdout.strip()
    assert done.returncode == 124
    assert f"headway pipelines watch {uuid}" in done.stderr
    assert shown(up, uuid)["status"] == "running"
    up("pipelines", "cancel", uuid)


def test_ctrl_c_detaches_with_130_and_never_cancels(up: Up):
    uuid = up.submit(LONG).stdout.strip()
    command = [*HEADWAY, "pipelines", "watch", uuid]
    with subprocess.Popen(
        command, cwd=up.cwd, env=environment(**up.settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=30)
    assert watching.returncode == 130
    assert f"headway pipelines watch {uuid}" in said
    assert "Traceback" not in said
    assert shown(up, uuid)["status"] == "running"
    up("pipelines", "cancel", uuid)


@pytest.mark.parametrize("name", ["api", "scheduler", "worker", "valkey", "postgres"])
def test_a_killed_process_is_started_again_and_work_goes_on(up: Up, name: str):
    killed = up.pids[name]
    os.kill(killed, signal.SIGKILL)
    # The roles are there again within 2 s; the servers have data to recover.
    wait_until(lambda: up.pids.get(name) not in {killed, None}, patience_s=20 if name in {"valkey", "postgres"} else 2)
    assert not exists(killed)
    done = up.submit(NOOP, options=("--wait", "--timeout", "40"))
    assert done.returncode == 0, done.stderr


def test_a_process_is_started_again_also_while_up_json_cannot_be_written(up: Up):
    in_the_way = up.cwd / ".headway" / "up.new"
    for _ in range(2):
        in_the_way.mkdir()
        killed = up.pids["worker"]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: "up.json: Is a directory; trying again" in (up.cwd / "up.err").read_text())
        in_the_way.rmdir()
        wait_until(lambda pid=killed: up.pids.get("worker") not in {pid, None}, patience_s=10)
    assert up.submit(NOOP, options=("--wait", "--timeout", "40")).returncode == 0


def test_servers_given_by_url_are_used_and_not_started(tmp_path: Path):
    postgres, valkey = start_postgres(tmp_path / "elsewhere"), start_valkey(tmp_path / "elsewhere")
    with Up(tmp_path, HEADWAY_DATABASE_URL=postgres.url, HEADWAY_REDIS_URL=valkey.url) as up:
        assert set(up.pids) == {"up", "api", "scheduler", "worker"}
        assert up.submit(NOOP, options=("--wait",)).returncode == 0
        assert up.end(signal.SIGTERM) == 0
    for server in (postgres, valkey):
        assert server.process.poll() is None
        server.stop()


def test_up_is_not_ready_by_the_lease_of_a_worker_of_another_host(tmp_path: Path):
    postgres, valkey = start_postgres(tmp_path / "elsewhere"), start_valkey(tmp_path / "elsewhere")
    servers = {"HEADWAY_DATABASE_URL": postgres.url, "HEADWAY_REDIS_URL": valkey.url}
    try:
        with Up(tmp_path, **servers) as another:
            (tmp_path / "mine").mkdir()
            (tmp_path / "mine" / "installation").write_text("00000000-0000-0000-0000-000000000000\n")
            done = another("up", "--port", "0", "--data-dir", "mine", **servers)
        assert done.returncode == 2
        assert "The worker does not start" in done.stderr
    finally:
        for server in (postgres, valkey):
            server.stop()


def test_a_second_up_on_the_same_data_is_refused_and_the_first_goes_on(up: Up):
    done = up("up", "--port", "0")
    assert done.returncode == 2
    assert "in use by another process" in done.stderr
    assert up("doctor").returncode == 0


def test_ctrl_c_lets_the_running_stage_finish_and_the_data_is_there_at_the_next_start(tmp_path: Path):
    with Up(tmp_path) as first:
        uuid = first.submit({"name": "a", "task": "noop", "params": {"sleep_s": 2}}).stdout.strip()
        wait_until(lambda: stage(first, uuid)["status"] == "running")
        pids = first.pids
        # A terminal sends it to every process of the foreground group.
        os.killpg(first.process.pid, signal.SIGINT)
        assert first.end() == 0
        assert not [name for name, pid in pids.items() if exists(pid)]
    with Up(tmp_path) as second:
        assert second("pipelines", "watch", uuid).returncode == 0
        assert stage(second, uuid)["attempt"] == 1


def test_a_second_ctrl_c_does_not_wait_for_what_runs(tmp_path: Path):
    with Up(tmp_path) as up:
        uuid = up.submit(LONG).stdout.strip()
        wait_until(lambda: stage(up, uuid)["status"] == "running")
        up.process.send_signal(signal.SIGINT)
        wait_until(lambda: "Ctrl-C again" in (tmp_path / "up.err").read_text())
        began = time.monotonic()
        assert up.end(signal.SIGINT) == 0
        assert time.monotonic() - began < 15


def test_a_killed_up_leaves_no_process_and_the_next_one_finishes_its_work(tmp_path: Path):
    fast = {"HEADWAY_LEASE_TIMEOUT_S": "3", "HEADWAY_HEARTBEAT_INTERVAL_S": "1", "HEADWAY_SWEEP_INTERVAL_S": "0.5"}
    with Up(tmp_path, **fast) as first:
        until_told = [
            sys.executable,
            "-c",
            f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.1)",
        ]
        uuid = first.submit({"name": "a", "task": "run_command", "params": {"argv": until_told}}).stdout.strip()
        wait_until(lambda: stage(first, uuid)["status"] == "running")
        pids = first.pids
        first.end(signal.SIGKILL)
        wait_until(lambda: not any(exists(pid) for pid in pids.values()), patience_s=10)
    (tmp_path / "go").touch()
    with Up(tmp_path, **fast) as second:
        assert second("pipelines", "watch", uuid, "--timeout", "40").returncode == 0
        assert stage(second, uuid)["attempt"] == 2


def test_demo_trains_a_model_and_shows_what_came_of_it(tmp_path: Path):
    began = time.monotonic()
    done = headway("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 60
    words = done.stdout.split()
    assert float(words[words.index("accuracy") + 1]) >= 0.95
    kept = [Path(word) for word in words if "/checkpoints/" in word]
    assert len(kept) == 3
    assert sorted(kept[0].parent.iterdir()) == sorted(kept)
    assert not (tmp_path / ".headway" / "up.json").exists()


def shown(up: Up, uuid: str) -> dict[str, Any]:
    return json.loads(up("pipelines", "show", uuid, "-o", "json").stdout)


def stage(up: Up, uuid: str) -> dict[str, Any]:
    return shown(up, uuid)["stages"][0]
