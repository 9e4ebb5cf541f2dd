"""Deletions: never outside, never through a link, and whatever was begun is finished by the next one."""

import os

import pytest

from app.trash import OutsideRoot, remove, steps_below


@pytest.fixture
def doomed(tmp_path):
    path = tmp_path / "root" / "a" / "doomed"
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "file").write_text("x")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    return path


def test_a_directory_goes_with_all_that_is_in_it(doomed, tmp_path):
    (doomed / "link").symlink_to(tmp_path / "precious")
    os.mkfifo(doomed / "pipe")
    remove(tmp_path / "root", ("a", "doomed"), "1")
    assert list(doomed.parent.iterdir()) == []
    assert (tmp_path / "precious" / "file").exists()


def test_what_is_gone_is_fine(doomed, tmp_path):
    for steps in (("a", "nothing"), ("b", "nothing"), ("a", "doomed", "no", "where")):
        remove(tmp_path / "root", steps, "1")
    assert (doomed / "deep" / "file").exists()


def test_without_its_root_nothing_is_taken_for_gone(tmp_path):
    with pytest.raises(FileNotFoundError):
        remove(tmp_path / "not mounted", ("a", "doomed"), "1")


def test_what_was_begun_is_finished_also_where_the_name_has_come_back(doomed, tmp_path):
    trash = doomed.with_name(".trash-1")
    (trash / "left").mkdir(parents=True)
    remove(tmp_path / "root", ("a", "doomed"), "1")
    assert list(doomed.parent.iterdir()) == []


def test_a_link_is_removed_and_not_what_it_leads_to(doomed, tmp_path):
    (doomed.parent / "link").symlink_to(tmp_path / "precious")
    remove(tmp_path / "root", ("a", "link"), "1")
    assert (tmp_path / "precious" / "file").exists()
    assert not (doomed.parent / "link").is_symlink()


def test_no_step_may_be_a_link(doomed, tmp_path):
    (tmp_path / "root" / "link").symlink_to(tmp_path / "precious")
    with pytest.raises(OutsideRoot, match="link is no directory of its own"):
        remove(tmp_path / "root", ("link", "file"), "1")
    assert (tmp_path / "precious" / "file").exists()


def test_the_steps_are_those_below_the_root_whatever_links_lead_there(doomed, tmp_path):
    (tmp_path / "alias").symlink_to(tmp_path / "root")
    for root in ("root", "alias"):
        for way in ("root", "alias"):
            assert steps_below(tmp_path / root, tmp_path / way / "a" / "doomed") == ("a", "doomed")


@pytest.mark.parametrize(
    "path", ["root", "precious/file", "root/../precious", "root/a/..", "root/loop/x", "root/a\0b/c"]
)
def test_what_lies_elsewhere_has_no_steps(doomed, tmp_path, path):
    (tmp_path / "root" / "loop").symlink_to(tmp_path / "root" / "loop")
    with pytest.raises(OutsideRoot):
        steps_below(tmp_path / "root", tmp_path / path)
    with pytest.raises(OutsideRoot):
        steps_below(tmp_path / "root", doomed.relative_to(tmp_path))
