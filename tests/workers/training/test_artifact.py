"""A published directory is whole or absent."""

import msgspec
import pytest

from workers.training import artifact
from workers.training.artifact import Manifest, Torn, publish, read_manifest


class Named(Manifest, kw_only=True):
    name: str


def test_a_published_directory_is_read_back_with_what_it_says_about_itself(tmp_path):
    publish(tmp_path / "made", lambda into: (into / "data").write_bytes(b"12345") and None, {"name": "five"})
    manifest = read_manifest(tmp_path / "made", Named)
    assert manifest.name == "five"
    assert manifest.files["data"].bytes == 5
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize("function", ["_digest", "_fsync"])
def test_what_dies_while_it_is_written_never_appears(function, tmp_path, monkeypatch):
    """A process may be killed at any of these calls; the last ``_fsync`` alone comes after the rename."""
    calls = 0
    original = getattr(artifact, function)

    def die_at_last(path):
        nonlocal calls
        calls += 1
        if path.name == ".made.tmp" or function == "_digest":
            raise KeyboardInterrupt
        return original(path)

    monkeypatch.setattr(artifact, function, die_at_last)
    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path / "made", lambda into: (into / "data").write_bytes(b"1") and None, {"name": "x"})
    assert not (tmp_path / "made").exists()
    monkeypatch.undo()
    publish(tmp_path / "made", lambda into: (into / "data").write_bytes(b"2") and None, {"name": "x"})
    assert read_manifest(tmp_path / "made", Named).files["data"].bytes == 1


def test_every_byte_is_on_disk_before_the_name_appears(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(artifact, "_fsync", lambda path: order.append((path.name, (tmp_path / "made").exists())))
    publish(tmp_path / "made", lambda into: (into / "data").write_bytes(b"1") and None, {"name": "x"})
    assert order == [("data", False), ("manifest.json", False), (".made.tmp", False), (tmp_path.name, True)]


def test_a_manifest_without_the_expected_fields_is_torn(tmp_path):
    publish(tmp_path / "made", lambda into: (into / "data").write_bytes(b"1") and None, {})
    with pytest.raises(Torn, match="name"):
        read_manifest(tmp_path / "made", Named)
    assert msgspec.json.decode((tmp_path / "made" / "manifest.json").read_bytes())["files"]["data"]["bytes"] == 1
