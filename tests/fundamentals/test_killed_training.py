"""A training that is killed again and again goes on where its newest whole checkpoint is, as if nothing had been."""

import json
import os
import random
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from schemas.pipeline import Pipeline
from tests.support.installation import Headway, Installation, durable, is_gapless, stage_of
from tests.support.processes import below, until
from workers.training.checkpoints import load

KILLS = 20
TEARS = (7, 13)
"""Before these kills the newest checkpoint is cut off, as by a disk."""
TRAINING = {
    "dataset": {"from": "stages.prepare.result.dataset"},
    "epochs": 90,
    "batch_size": 16,
    "hidden": [16],
    "epoch_delay_s": 0.02,  # so that there is always something left to kill
}
LINES_MAX = 11
"""Two lines tell how the program begins; each epoch then has three: what it measured, a checkpoint, its progress."""
NEWEST = """
    SELECT path FROM checkpoints AS c JOIN stages AS s USING (pipeline_id, position)
     WHERE s.uuid = $1 AND c.state = 'complete' AND c.attempt < $2 ORDER BY c.step DESC LIMIT 1
"""
TORN = """
    SELECT path, reason FROM checkpoints AS c JOIN stages AS s USING (pipeline_id, position)
     WHERE s.uuid = $1 AND c.state = 'invalid' ORDER BY c.id
"""


async def test_a_training_killed_at_twenty_random_points_ends_with_the_same_weights_bit_for_bit(
    headway: Headway, installation: Installation
):
    pipeline = await headway.submit(
        {"name": "prepare", "task": "preprocess_dataset", "params": {"dataset": "builtin:digits"}},
        {"name": "alone", "task": "train_model", "params": TRAINING},
        {"name": "killed", "task": "train_model", "params": TRAINING, "max_retries": KILLS, "retry_delay": 0},
    )
    task_id = (await headway.stage(pipeline, "killed")).task_id
    chance, whole, torn = random.Random(20), [""], []
    for attempt in range(1, KILLS + 1):
        victim = Victim(installation, pipeline, attempt)
        await victim.begins()
        assert victim.resume_from == whole[-1] == await newest_known(installation, task_id, attempt)
        await victim.reports(chance.randint(0, LINES_MAX))
        await victim.stops()
        whole += victim.checkpoints()
        if attempt in TEARS:
            torn.append(whole.pop())
            os.truncate(Path(torn[-1], "state.npz"), 1_000)
        victim.kill()

    ended = await headway.ended(pipeline)
    assert (ended.status, stage_of(ended, "killed").attempt) == ("completed", KILLS + 1)
    assert len(set(whole)) > KILLS / 2
    assert weights(ended, "killed") == weights(ended, "alone")
    assert scores(ended, "killed") == scores(ended, "alone")
    reason = "its file state.npz has 1,000 bytes"
    condemned = await installation.query(TORN, task_id)
    assert [(row["path"], row["reason"][: len(reason)]) for row in condemned] == [(path, reason) for path in torn]
    events = await headway.history(pipeline)
    assert is_gapless(events)
    assert [event.type for event in durable(events)].count("stage.retrying") == KILLS


class Victim:
    """The process of one attempt."""

    def __init__(self, installation: Installation, pipeline: UUID, attempt: int) -> None:
        self.workers = [process.pid for process in installation.processes if process.role == "worker"]
        self.directory = installation.data_dir.resolve() / "artifacts" / str(pipeline) / "killed" / str(attempt)
        self.pid = 0
        self.resume_from = ""

    async def begins(self) -> None:
        """Wait until it is there; what it was told stands in its environment."""
        await until(self._is_there, f"nothing runs in {self.directory}")

    def _is_there(self) -> bool:
        for pid in (pid for worker in self.workers for pid in below(worker)):
            with suppress(OSError):
                entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
                told = dict(entry.split("=", 1) for entry in entries if "=" in entry)
                if told.get("HEADWAY_RUN_DIR") == str(self.directory):
                    self.pid, self.resume_from = pid, told["HEADWAY_RESUME_FROM"]
        return self.pid != 0

    def lines(self) -> list[dict[str, Any]]:
        """What it has reported."""
        events = self.directory / "events.jsonl"
        whole = events.read_text().rpartition("\n")[0] if events.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    async def reports(self, lines: int) -> None:
        """Wait until it has said so much."""
        await until(lambda: len(self.lines()) >= lines, f"it is silent: {self.lines()}")

    async def stops(self) -> None:
        """Suspend it, so that nothing changes any more."""
        os.kill(self.pid, signal.SIGSTOP)
        stat = Path(f"/proc/{self.pid}/stat")
        await until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it goes on")

    def checkpoints(self) -> list[str]:
        """Those that it has reported, oldest first."""
        return [line["path"] for line in self.lines() if line["type"] == "checkpoint"]

    def kill(self) -> None:
        """End it without a word."""
        os.kill(self.pid, signal.SIGKILL)


async def newest_known(installation: Installation, task_id: UUID, attempt: int) -> str:
    """The checkpoint of earlier attempts that Postgres believes to be the newest whole one."""
    found = await installation.query(NEWEST, task_id, attempt)
    return found[0]["path"] if found else ""


def weights(pipeline: Pipeline, stage: str) -> tuple[str, int]:
    """What the last checkpoint holds, and where it was written."""
    manifest = load(Path(pipeline.results[stage]["last_checkpoint"])).manifest
    return manifest.files["state.npz"].sha256, manifest.step


def scores(pipeline: Pipeline, stage: str) -> dict[str, Any]:
    """The result without the names of directories."""
    result = pipeline.results[stage]
    saved = [{**each, "path": Path(each["path"]).name} for each in result["checkpoints"]]
    names = {name: Path(result[name]).name for name in ("best_checkpoint", "last_checkpoint")}
    return {**result, **names, "checkpoints": saved}
