"""The inputs of an attempt: a directory of its own and an environment that leads to everything in it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from app.artifacts import LOG, attempt_directory
from app.settings import Settings
from schemas import limits
from schemas.stage import Claim
from workers.contract.environment import permitted, stage_env_names


@dataclass(frozen=True, slots=True)
class Run:
    """Where one attempt keeps its things; all paths are absolute. ``env`` is the complete environment."""

    directory: Path
    params: Path
    events: Path
    checkpoints: Path
    log: Path
    error_file: Path
    token_file: Path
    env: dict[str, str]


def prepare(settings: Settings, claim: Claim, params: dict[str, Any]) -> Run:
    """Make ``<data>/artifacts/<pipeline>/<stage>/<attempt>/`` and the environment of the attempt.

    What an attempt of the same number left there (the database may be older than the disk) is not taken for this
    one's: its reports are emptied.

    Raises:
        OSError: the data directory is full, or not ours to write.
        SetupError: see ``stage_env_names``.

    """
    directory = make_directory(settings, claim)
    run = Run(
        directory=directory,
        params=directory / "params.json",
        events=directory / "events.jsonl",
        checkpoints=directory / "checkpoints",
        log=directory / LOG,
        error_file=directory / "error.json",
        token_file=directory / "progress.token",
        env=permitted(os.environ, stage_env_names(settings.stage_env)),
    )
    run.checkpoints.mkdir(exist_ok=True)
    run.params.write_bytes(msgspec.json.encode(params))
    run.events.write_bytes(b"")
    run.log.write_bytes(b"")
    run.error_file.unlink(missing_ok=True)
    run.env.update(_variables(run, settings, claim))
    return run


def make_directory(settings: Settings, claim: Claim) -> Path:
    """Make the directory of an attempt, whose path is absolute; only Headway's own user can enter the artifacts.

    Raises:
        OSError: the data directory is full, or not ours to write.

    """
    if not re.match(limits.STAGE_NAME_PATTERN, claim.name):
        raise ValueError(f"{claim.name!r} is no name of a stage")
    directory = attempt_directory(settings.data_dir, claim.pipeline, claim.name, claim.attempt)
    directory.parents[2].mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _variables(run: Run, settings: Settings, claim: Claim) -> dict[str, str]:
    return {
        "HEADWAY_PIPELINE": str(claim.pipeline),
        "HEADWAY_PIPELINE_NAME": claim.pipeline_name,
        "HEADWAY_STAGE": claim.name,
        "HEADWAY_TASK_ID": str(claim.stage),
        "HEADWAY_ATTEMPT": str(claim.attempt),
        "HEADWAY_RUN_DIR": str(run.directory),
        "HEADWAY_PARAMS": str(run.params),
        "HEADWAY_EVENTS": str(run.events),
        "HEADWAY_CHECKPOINT_DIR": str(run.checkpoints),
        "HEADWAY_RESUME_FROM": claim.resume_from or "",
        "HEADWAY_DEADLINE": f"{claim.started_at + claim.time_limit_s:.3f}",
        "HEADWAY_GRACE_S": f"{settings.cancel_grace_s:g}",
        "TORCHELASTIC_ERROR_FILE": str(run.error_file),
        # A log that is followed, and the last lines before a crash, must not wait in a buffer.
        "PYTHONUNBUFFERED": "1",
    }
