"""Settings: every bad one is named, all at once, and none of their values."""

import os
from pathlib import Path

import pytest

from app.client import Client
from app.commands import running
from app.db.migrate import migrate
from app.db.pool import open_pool
from app.embedded.directory import is_owned
from app.errors import SetupError
from app.queue import open_redis
from app.settings import load_settings

BAD = {
    "HEADWAY_DATABASE_URL": ("mysql://u:s3cret@h/d", "postgresql://"),
    "HEADWAY_REDIS_URL": ("redis://h:s3cret", "redis://"),
    "HEADWAY_URL": ("http://[::s3cret", "not a URL"),
    "HEADWAY_API_TOKEN": ("", "empty"),
    "HEADWAY_DATA_DIR": ("", "empty"),
    "HEADWAY_WORKER_QUEUES": ("training,trainign", "trainign"),
    "HEADWAY_STAGE_ENV": ("WANDB_API_KEY=s3cret", "without values"),
    "HEADWAY_PORT": ("s3cret", "integer"),
}


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """No settings, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HEADWAY_")]:
        monkeypatch.delenv(name)


def refused() -> str:
    with pytest.raises(SetupError) as error:
        load_settings()
    return error.value.detail


def test_all_bad_settings_are_told_together_with_those_of_the_file_and_without_values(monkeypatch):
    Path("headway.toml").write_text("worker = 1\n")
    for name, (value, _) in BAD.items():
        monkeypatch.setenv(name, value)
    told = refused()
    assert "there is no setting 'worker'" in told
    assert "s3cret" not in told
    lines = {line.strip().partition(":")[0]: line for line in told.splitlines()}
    for name, (_, word) in BAD.items():
        assert word in lines[name]


@pytest.mark.parametrize("name", ["HEADWAY_STAGE", "PGPASSWORD", "redis_url"])
def test_a_variable_that_leads_to_our_servers_is_refused_for_stages_at_the_start(monkeypatch, name):
    monkeypatch.setenv("HEADWAY_STAGE_ENV", f"WANDB_API_KEY,{name}")
    assert f"no stage may see {name}" in refused()


def test_a_settings_file_that_is_missed_is_an_error_and_a_default_one_that_is_not_there_is_none(monkeypatch):
    load_settings()
    monkeypatch.setenv("HEADWAY_CONFIG_FILE", "elsewhere.toml")
    assert "there is no elsewhere.toml" in refused()


def test_a_settings_file_that_cannot_be_read_is_named():
    Path("headway.toml").write_text("port = [\n")
    assert "headway.toml is not TOML" in refused()
    Path("headway.toml").write_bytes(b"port = '\xff'\n")
    assert "headway.toml is not TOML" in refused()


def test_the_file_counts_less_than_the_environment_and_that_less_than_an_argument(monkeypatch):
    Path("headway.toml").write_text("port = 1\nhost = 'a'\nurl = 'http://a'\n")
    monkeypatch.setenv("HEADWAY_PORT", "2")
    monkeypatch.setenv("HEADWAY_HOST", "b")
    settings = load_settings(port=3)
    assert (settings.port, settings.host, settings.url) == (3, "b", "http://a")


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@h/d?sslmode=zz", "postgresql://h:0x/d"])
async def test_a_database_url_that_only_a_client_can_judge_is_one_message(url):
    for opening in (open_pool(url, max_size=2), migrate(url)):
        with pytest.raises(SetupError, match="HEADWAY_DATABASE_URL cannot be used") as error:
            await opening
        assert "hunter2" not in str(error.value)


async def test_a_database_that_is_not_there_is_one_message(postgres):
    with pytest.raises(SetupError, match="Postgres refuses the connection"):
        await open_pool(postgres.url.replace("/headway?", "/missing?"), max_size=2)


async def test_other_urls_that_only_a_client_can_judge_are_one_message():
    with pytest.raises(SetupError, match="HEADWAY_REDIS_URL cannot be used"):
        open_redis("redis://localhost/?db=x")
    with pytest.raises(SetupError, match="HEADWAY_URL cannot be used"):
        Client("http://a b\n/")


def test_a_data_directory_of_somebody_else_is_one_message(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / ".headway").touch()
    with pytest.raises(SetupError, match="Not a directory"):
        running.read(Path(".headway"))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SetupError, match="Permission denied"):
        is_owned(tmp_path)


def test_an_up_json_that_cannot_be_read_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "is_owned", lambda _: True)
    assert running.read(tmp_path) is None
    (tmp_path / "up.json").write_text("{")
    with pytest.raises(SetupError, match="restart 'headway up'"):
        running.read(tmp_path)
