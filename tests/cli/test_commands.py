"""What commands do without a server: refuse early, in one message, with the right exit code."""

import socket
from pathlib import Path

from app import __version__
from tests.cli.programs import headway


def test_help_names_every_command(tmp_path: Path):
    help_text = headway("--help", cwd=tmp_path).stdout
    for command in (
        "up",
        "demo",
        "doctor",
        "submit",
        "lint",
        "pipelines",
        "tasks",
        "templates",
        "schedules",
        "queues",
        "workers",
        "api",
        "scheduler",
        "worker",
        "migrate",
    ):
        assert f"│ {command} " in help_text
    assert headway("--version", cwd=tmp_path).stdout.strip() == __version__


def test_help_imports_no_command(tmp_path: Path):
    done = headway("--help", cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "app.cli" in imported or "cyclopts" in imported
    assert not imported & {"litestar", "asyncpg", "redis", "polars", "app.commands.up", "app.client"}


def test_all_bad_settings_are_named_at_once_without_their_values(tmp_path: Path):
    done = headway("migrate", cwd=tmp_path, HEADWAY_PORT="s3cret", HEADWAY_LEASE_TIMEOUT_S="-1", HEADWAY_LOG_FORMAT="x")
    assert done.returncode == 2
    assert {"HEADWAY_PORT", "HEADWAY_LEASE_TIMEOUT_S", "HEADWAY_LOG_FORMAT"} <= set(
        done.stderr.replace(":", " ").split()
    )
    assert "s3cret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_usage_error_is_one_message_and_exit_code_2(tmp_path: Path):
    for arguments in (["nope"], ["submit"], ["pipelines", "show", "no-uuid"], ["submit", "x", "--nope"]):
        done = headway(*arguments, cwd=tmp_path)
        assert done.returncode == 2, arguments
        assert done.stdout == ""
        assert done.stderr.startswith("headway: ")
        assert "Traceback" not in done.stderr


def test_a_misspelt_option_is_told_wherever_it_stands(tmp_path: Path):
    for arguments in (["submit", "--wacth", "p.yaml"], ["submit", "--wacth"], ["lint", "--wacth", "p.yaml"]):
        done = headway(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert "There is no option --wacth" in done.stderr
    assert "Did you mean --watch?" in headway("submit", "p.yaml", "--wacth", cwd=tmp_path).stderr


def test_files_that_hold_no_pipeline_are_refused_before_anything_is_asked(tmp_path: Path):
    (tmp_path / "list.yaml").write_text("- a\n- b\n")
    (tmp_path / "broken.yaml").write_text("name: [\n")
    (tmp_path / "broken.json").write_text('{"name": }')
    for name, said in {
        "list.yaml": "one object",
        "broken.yaml": "line 2",
        "broken.json": "neither YAML nor JSON",
        "missing.yaml": "No such file",
    }.items():
        done = headway("submit", name, cwd=tmp_path)
        assert done.returncode == 2
        assert said in done.stderr


def test_nobody_at_the_address_is_exit_code_6_with_advice(tmp_path: Path):
    (tmp_path / "p.json").write_text('{"name": "p", "stages": [{"name": "a", "task": "noop"}]}')
    for arguments in (["submit", "p.json"], ["pipelines", "ls"]):
        done = headway(*arguments, cwd=tmp_path, HEADWAY_URL="http://127.0.0.1:9")
        assert done.returncode == 6
        assert "Is 'headway up' running?" in done.stderr


def test_a_role_without_servers_says_which_settings_it_needs(tmp_path: Path):
    for role in ("api", "scheduler", "worker", "migrate"):
        done = headway(role, cwd=tmp_path)
        assert done.returncode == 2
        assert "HEADWAY_DATABASE_URL" in done.stderr
        assert "headway up" in done.stderr


def test_up_refuses_other_machines_without_a_token(tmp_path: Path):
    done = headway("up", "--host", "0.0.0.0", cwd=tmp_path)
    assert done.returncode == 2
    assert "HEADWAY_API_TOKEN" in done.stderr
    assert not (tmp_path / ".headway" / "postgres").exists()


def test_up_says_so_when_its_port_is_taken(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = headway("up", "--port", str(port), cwd=tmp_path)
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert "0 takes a free one" in done.stderr


def test_doctor_fails_with_advice_when_nothing_runs(tmp_path: Path):
    done = headway("doctor", cwd=tmp_path)
    assert done.returncode == 1
    assert "Start 'headway up'" in done.stdout


def test_an_empty_data_dir_does_not_fill_the_working_directory(tmp_path: Path):
    for done in (headway("up", "--data-dir", "", cwd=tmp_path), headway("up", cwd=tmp_path, HEADWAY_DATA_DIR="")):
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_doctor_says_what_is_wrong_with_urls_and_directories(tmp_path: Path):
    (tmp_path / ".headway").touch()
    urls = {"HEADWAY_DATABASE_URL": "postgresql://h:0x/d", "HEADWAY_REDIS_URL": "redis://localhost/?db=x"}
    done = headway("doctor", cwd=tmp_path, HEADWAY_URL="http://127.0.0.1:9", **urls)
    assert done.returncode == 1
    assert done.stderr == ""
    for said in ("HEADWAY_DATABASE_URL cannot be used", "HEADWAY_REDIS_URL cannot be used", "Not a directory"):
        assert said in done.stdout
