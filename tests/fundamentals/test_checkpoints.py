"""Checkpoints: an attempt resumes from the newest that is whole, and the rest is kept by rule and by hand."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from app.client import ApiError
from tests.support.installation import Headway, Installation

TORN_AND_TRIED_AGAIN = dedent("""
    import hashlib, json, os, pathlib, sys

    def report(**line):
        with open(os.environ["HEADWAY_EVENTS"], "a") as events:
            print(json.dumps(line), file=events)

    if os.environ["HEADWAY_RESUME_FROM"]:
        report(type="result", values={"resumed_from": os.environ["HEADWAY_RESUME_FROM"]})
        sys.exit(0)
    for step in (1, 2, 3):
        path = pathlib.Path(os.environ["HEADWAY_CHECKPOINT_DIR"], f"step-{step}")
        path.mkdir()
        (path / "weights").write_bytes(b"w" * 1000)
        about = {"bytes": 1000, "sha256": hashlib.sha256(b"w" * 1000).hexdigest()}
        (path / "manifest.json").write_text(json.dumps({"files": {"weights": about}}))
        report(type="checkpoint", path=str(path), step=step, metrics={"loss": step})
    (path / "weights").write_bytes(b"w" * 999 + b"x")          # a flipped bit
    (path.parent / "step-2" / "weights").write_bytes(b"w")     # cut off
    sys.exit("it breaks down")
""")


async def test_torn_checkpoints_are_passed_over_and_say_what_is_wrong_with_them(
    headway: Headway, installation: Installation
):
    argv = [sys.executable, "-c", TORN_AND_TRIED_AGAIN]
    train = {"name": "train", "task": "run_command", "params": {"argv": argv}, "max_retries": 1, "retry_delay": 0}
    pipeline = await headway.run(train)

    checkpoints = installation.artifacts(pipeline, "train") / "checkpoints"
    assert pipeline.results["train"] == {"resumed_from": str(checkpoints / "step-1")}
    found = (await headway.checkpoints.list(pipeline=pipeline.uuid)).items
    assert [(each.step, each.state, each.reason) for each in found] == [
        (3, "invalid", "its file weights has other contents than its manifest.json says"),
        (2, "invalid", "its file weights has 1 bytes, and not 1,000"),
        (1, "complete", None),
    ]


async def test_a_pinned_checkpoint_outlives_every_clean_up(headway: Headway, installation: Installation):
    say = dedent("""
        import json, os, pathlib
        for step in (1, 2, 3, 4):
            path = pathlib.Path(os.environ["HEADWAY_CHECKPOINT_DIR"], f"step-{step}")
            path.write_text("weights")
            line = {"type": "checkpoint", "path": str(path), "step": step, "metrics": {"val_loss": 1 / step}}
            open(os.environ["HEADWAY_EVENTS"], "a").write(json.dumps(line) + "\\n")
    """)
    pipeline = await headway.submit(
        {"name": "train", "task": "run_command", "params": {"argv": [sys.executable, "-c", say]}},
        {"name": "approve", "task": "run_command", "params": {"argv": ["true"]}, "depends_on": ["train"]},
        {"name": "clean", "task": "cleanup_checkpoints", "params": {"keep_best_n": 1}, "depends_on": ["approve"]},
        start=False,
    )
    await headway.queues.pause("maintenance")
    try:
        await headway.start(pipeline)
        await headway.event(pipeline, "stage.completed", "approve")
        saved = (await headway.checkpoints.list(pipeline=pipeline, stage="train")).items
        assert [each.step for each in saved] == [4, 3, 2, 1]
        assert (await headway.checkpoints.pin(saved[-1].id)).pinned
    finally:
        await headway.queues.resume("maintenance")
    ended = await headway.ended(pipeline)

    assert [Path(path).name for path in ended.results["clean"]["kept"]] == ["step-4", "step-1"]
    checkpoints = installation.artifacts(ended, "train") / "checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-1", "step-4"]
    states = {each.step: each.state for each in (await headway.checkpoints.list(pipeline=pipeline)).items}
    assert states == {1: "complete", 2: "deleted", 3: "deleted", 4: "complete"}
    with pytest.raises(ApiError, match="it cannot be pinned any more"):
        await headway.checkpoints.pin(saved[1].id)
