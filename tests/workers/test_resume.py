"""Where an attempt takes up the work: at the newest checkpoint that is what it was when it was reported."""

import errno
import hashlib
import json
import os

import pytest
from msgspec.structs import replace

from app.artifacts import attempt_directory
from app.errors import Unavailable
from app.services import checkpoints
from schemas.states import Outcome
from tests.support.pipelines import submit
from tests.support.workers import a_worker, ending
from workers.contract import fault_of, size_of
from workers.report import Reporter
from workers.resume import resume_point
from workers.room import Attempt, Room


class Live:
    """Hears nothing."""

    def put(self, *_):
        pass


@pytest.fixture
async def attempts(settings, pool, queue):
    """A room, the first attempt of a stage with three checkpoints, and what claims the second."""
    pipeline, worker = await submit(pool), await a_worker(pool)
    room = Room(worker.id, settings, pool, queue, {})
    claim = await worker.start(pipeline)
    directory = attempt_directory(settings.data_dir, pipeline.uuid, "a", 1)
    directory.mkdir(parents=True)
    reporter = Reporter(room, Attempt(claim), Live())
    for step in (1, 2, 3):
        path = directory / f"step-{step}"
        path.mkdir()
        (path / "weights").write_bytes(b"w" * 100)
        reporter.take({"type": "checkpoint", "path": str(path), "step": step, "bytes": 10**9})
    await reporter.close()

    async def second():
        await worker.report(ending(claim, Outcome.FAILED, retry_delay_s=0))
        await pipeline.release()
        return await worker.start(pipeline)

    return room, directory, second


async def states(room, claim):
    found = (await checkpoints.list_page(room.pool, task_id=claim.stage)).items
    return {each.step: (each.state, each.reason) for each in found}


async def test_the_newest_is_taken_and_has_the_bytes_that_were_there_whatever_was_reported(attempts):
    room, directory, second = attempts
    claim = await second()
    assert claim.resume_from == str(directory / "step-3")
    assert await resume_point(room, claim) == str(directory / "step-3")
    found = (await checkpoints.list_page(room.pool, task_id=claim.stage)).items
    assert {each.bytes for each in found} == {100}


async def test_what_is_cut_off_or_gone_is_passed_over_and_condemned(attempts):
    room, directory, second = attempts
    (directory / "step-3" / "weights").write_bytes(b"w" * 99)
    (directory / "step-2" / "weights").unlink()
    (directory / "step-2").rmdir()
    claim = await second()
    assert await resume_point(room, claim) == str(directory / "step-1")
    assert await states(room, claim) == {
        3: ("invalid", "it has 99 bytes, and had 100 when it was reported"),
        2: ("invalid", "it is no longer there"),
        1: ("complete", None),
    }


async def test_when_none_is_left_the_attempt_begins_afresh(attempts):
    room, directory, second = attempts
    for step in (1, 2, 3):
        (directory / f"step-{step}" / "weights").write_bytes(b"")
    claim = await second()
    assert await resume_point(room, claim) is None
    assert {state for state, _ in (await states(room, claim)).values()} == {"invalid"}


async def test_an_attempt_that_has_lost_its_stage_condemns_nothing(attempts):
    room, directory, second = attempts
    (directory / "step-3" / "weights").write_bytes(b"")
    claim = await second()
    assert await resume_point(room, replace(claim, lease_token=claim.stage)) is None
    assert {state for state, _ in (await states(room, claim)).values()} == {"complete"}


@pytest.mark.parametrize("path", ["s3://bucket/step-9", "/nowhere/step-9", "/dev/zero"])
async def test_what_lies_elsewhere_is_the_programs_own_business(attempts, path):
    room, _, second = attempts
    claim = await second()
    reporter = Reporter(room, Attempt(claim), Live())
    reporter.take({"type": "checkpoint", "path": path, "step": 9, "bytes": 5})
    await reporter.close()
    assert await resume_point(room, claim) == path


async def test_one_place_is_one_checkpoint_however_it_is_spelled(attempts):
    room, directory, second = attempts
    claim = await second()
    reporter = Reporter(room, Attempt(claim), Live())
    for step, path in enumerate([f"/{directory}//step-9/", f"{directory}/x/../step-9", "step-9"], 7):
        reporter.take({"type": "checkpoint", "path": path, "step": step})
        reporter.cwd = directory
    reporter.take({"type": "checkpoint", "path": "s3://bucket//step-1", "step": 1})
    await reporter.close()
    found = (await checkpoints.list_page(room.pool, task_id=claim.stage)).items
    assert [(each.step, each.path) for each in found if each.attempt == 2] == [
        (1, "s3://bucket//step-1"),
        (9, str(directory / "step-9")),
    ]


async def test_a_relative_path_begins_in_the_directory_of_its_attempt(attempts):
    room, directory, second = attempts
    claim = await second()
    reporter = Reporter(room, Attempt(claim), Live())
    reporter.take({"type": "checkpoint", "path": "checkpoints/step-9", "step": 9})
    await reporter.close()
    found = (await checkpoints.list_page(room.pool, task_id=claim.stage)).items
    assert found[0].path == str(directory.parent / "2" / "checkpoints" / "step-9")


async def test_a_program_announces_finishes_and_condemns_its_checkpoints(attempts):
    room, directory, second = attempts
    claim = await second()
    lines = [
        {"type": "checkpoint", "path": "/x/4", "step": 4, "state": "writing"},
        {"type": "checkpoint", "path": "/x/5", "step": 5, "state": "writing"},
        {"type": "checkpoint", "path": "/x/5", "step": 5, "state": "complete"},
        {"type": "checkpoint", "path": str(directory / "step-3"), "state": "invalid", "reason": "NaN\0"},
        {"type": "checkpoint", "path": str(directory / "step-2"), "state": "invalid"},
        {"type": "checkpoint", "path": "/x/6", "step": 6, "state": "molten"},
        {"type": "checkpoint", "path": "/x/7"},
    ]
    reporter = Reporter(room, Attempt(claim), Live())
    for line in lines:
        reporter.take(line)
    await reporter.close()
    assert await states(room, claim) == {
        5: ("complete", None),
        4: ("writing", None),
        3: ("invalid", "NaN\ufffd"),
        2: ("invalid", "its program found it invalid"),
        1: ("complete", None),
    }


def manifest(directory, **files):
    about = {n: {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()} for n, text in files.items()}
    (directory / "manifest.json").write_text(json.dumps({"files": about}))


@pytest.fixture
def saved(tmp_path):
    (tmp_path / "weights").write_bytes(b"www")
    manifest(tmp_path, weights=b"www")
    return tmp_path


def test_a_directory_is_what_its_manifest_says(saved):
    assert fault_of(saved, 0) is None
    manifest(saved, weights=b"wwx")
    assert fault_of(saved, 0) == "its file weights has other contents than its manifest.json says"
    manifest(saved, weights=b"wwww")
    assert fault_of(saved, 0) == "its file weights has 3 bytes, and not 4"
    manifest(saved, weights=b"www", optimizer=b"")
    assert fault_of(saved, 0) == "its file optimizer is missing"
    for torn in ('{"files": {', "", "[" * 100_000):
        (saved / "manifest.json").write_text(torn)
        assert fault_of(saved, 0) == "its manifest.json is torn"


def broken(*_, **__):
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("call", ["pread", "open", "stat", "scandir"])
def test_a_disk_that_cannot_be_read_proves_nothing(saved, monkeypatch, call):
    with monkeypatch.context() as patch:
        patch.setattr(os, call, broken)
        with pytest.raises(OSError, match="Input/output error"):
            fault_of(saved, 0)


def broken_below(directory, call):
    real = getattr(os, call)
    return lambda path, *args, **kwargs: (broken if str(path).startswith(str(directory)) else real)(
        path, *args, **kwargs
    )


@pytest.mark.parametrize("call", ["open", "scandir"])
async def test_what_cannot_be_read_now_is_passed_over_by_this_attempt_and_stays_complete(attempts, monkeypatch, call):
    room, directory, second = attempts
    claim = await second()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, broken_below(directory / "step-3", call))
        assert await resume_point(room, claim) == str(directory / "step-2")
    assert {state for state, _ in (await states(room, claim)).values()} == {"complete"}
    assert await resume_point(room, claim) == str(directory / "step-3")


async def test_artifacts_that_are_away_are_waited_for(attempts):
    room, directory, second = attempts
    claim = await second()
    root = room.settings.data_dir / "artifacts"
    root.rename(root.with_name("away"))
    with pytest.raises(Unavailable, match="are away"):
        await resume_point(room, claim)
    root.with_name("away").rename(root)
    assert await resume_point(room, claim) == str(directory / "step-3")


async def test_a_checkpoint_whose_disk_is_away_when_it_is_reported_is_not_condemned_for_its_size(attempts, monkeypatch):
    room, directory, second = attempts
    claim = await second()
    reporter = Reporter(room, Attempt(claim), Live())
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", broken_below(directory, "stat"))
        reporter.take({"type": "checkpoint", "path": str(directory / "step-3"), "step": 3, "bytes": 10**9})
        await reporter.close()
    assert await resume_point(room, claim) == str(directory / "step-3")


@pytest.mark.parametrize(
    "text", ["[]", '{"files": ["weights"]}', '{"weight_map": {}}', '{"files": {"weights": "sha"}}']
)
def test_a_manifest_about_something_else_proves_nothing(saved, text):
    (saved / "manifest.json").write_text(text)
    assert fault_of(saved, 3) is None
    assert fault_of(saved, 10**6) is not None


def test_nothing_outside_is_read_no_link_is_followed_and_no_pipe_is_waited_for(saved):
    for name in ("../secret", "/etc/passwd", "weights\0"):
        manifest(saved, **{name: b""})
        assert fault_of(saved, 0) == "its manifest.json names a file outside"
    os.mkfifo(saved / "pipe")
    (saved / "link").symlink_to("/etc/passwd")
    for name in ("pipe", "link"):
        manifest(saved, **{name: b""})
        assert fault_of(saved, 0) == f"its file {name} is missing"
    assert size_of(saved) == 3 + (saved / "manifest.json").stat().st_size


def test_a_file_has_a_size_and_what_is_not_there_has_none(saved):
    assert (size_of(saved / "weights"), size_of(saved / "nothing")) == (3, None)
    assert fault_of(saved / "weights", 3) is None
    assert fault_of(saved / "weights", 4) == "it has 3 bytes, and had 4 when it was reported"
    assert fault_of(saved / "nothing", 0) == "it is no longer there"
