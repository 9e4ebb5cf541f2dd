"""What commands tell people to type next works where they are."""

import sys
from pathlib import Path

import pytest

from app.commands import hints
from app.settings import Settings


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """An environment in ./.venv, not on the PATH."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".venv" / "bin" / "headway"


def test_the_command_is_named_as_it_can_be_called_from_here(installed, tmp_path, monkeypatch):
    assert hints.command() == f"{sys.executable} -m app.cli"
    installed.touch(mode=0o755)
    assert hints.command() == ".venv/bin/headway"
    monkeypatch.chdir(sys.prefix)
    assert hints.command() == str(installed)
    monkeypatch.setenv("PATH", str(installed.parent))
    assert hints.command() == "headway"


def test_a_data_directory_of_ones_own_is_named(installed):
    installed.touch(mode=0o755)
    assert hints.command(Settings()) == ".venv/bin/headway"
    assert hints.command(Settings(data_dir=Path("/a b"))) == "HEADWAY_DATA_DIR='/a b' .venv/bin/headway"


def test_a_file_that_is_there_is_named_where_there_is_one(tmp_path):
    assert hints.example() == "pipeline.yaml"
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "training.yaml").touch()
    assert hints.example() == "examples/training.yaml"
