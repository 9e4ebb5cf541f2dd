"""Checkpoints of a training: whole directories ``step-<batches done>``, arrays as npz, the rest in their manifest."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from schemas.training import SavedCheckpoint
from workers.training import run
from workers.training.artifact import Manifest, Torn, publish, read_manifest
from workers.training.model import Array

ARRAYS = "state.npz"

log = logging.getLogger(__name__)


class CheckpointManifest(Manifest, kw_only=True):
    """Where a training stood."""

    identity: dict[str, Any]
    """Data and params; only a training that shares them all may continue from here."""
    features: list[str]
    classes: list[str]
    step: int
    loss_sum: float
    """Sum of the samples' losses in the epoch under way."""
    metrics: dict[str, float]
    """Of the epoch that ends here; empty in the middle of one."""
    saved: list[SavedCheckpoint]
    """The best checkpoints so far, best first."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files are what its manifest says."""

    path: Path
    manifest: CheckpointManifest
    arrays: dict[str, Array]


def path_of(directory: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies; the names sort like the steps."""
    return directory / f"step-{step:010d}"


def save(path: Path, arrays: dict[str, Array], about: dict[str, Any]) -> None:
    """Write a checkpoint; after a kill at any moment it is there whole or not at all."""

    def write(into: Path) -> None:
        np.savez(into / ARRAYS, allow_pickle=False, **arrays)

    publish(path, write, msgspec.to_builtins(about))


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        Torn: it is not whole.

    """
    manifest = read_manifest(path, CheckpointManifest)
    with np.load(path / ARRAYS, allow_pickle=False) as stored:
        return Checkpoint(path, manifest, dict(stored))


def complete(directory: Path) -> list[Path]:
    """Return the checkpoints of a directory that are whole, oldest first."""
    return [path for path in sorted(directory.glob("step-*")) if _is_whole(path)]


def newest_usable(newest: Path, identity: dict[str, Any]) -> Checkpoint | None:
    """Return the checkpoint to resume from: ``newest``, or the last usable one beside it, or None."""
    older = sorted((path for path in newest.parent.glob("step-*") if path.name < newest.name), reverse=True)
    for path in [newest, *older]:
        try:
            checkpoint = load(path)
        except Torn as torn:
            log.warning("checkpoint %s is passed over: %s", path, torn)
            run.invalid_checkpoint(path, str(torn))
            continue
        if checkpoint.manifest.identity == identity:
            return checkpoint
        log.warning("checkpoint %s is passed over: it belongs to a training with other data or params", path)
    return None


def _is_whole(path: Path) -> bool:
    try:
        read_manifest(path, CheckpointManifest)
    except Torn:
        return False
    return True
