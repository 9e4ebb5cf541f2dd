"""Artifacts on disk: ``<data>/artifacts/<pipeline>/<stage>/<attempt>/``."""

import shutil
from contextlib import suppress
from pathlib import Path
from uuid import UUID


def remove_artifacts(data_dir: Path, pipeline: UUID) -> None:
    """Remove all that a pipeline left on disk; renamed first, so that nothing half-deleted carries its name."""
    directory = data_dir / "artifacts" / str(pipeline)
    trash = directory.with_name(f".trash-{pipeline}")
    with suppress(FileNotFoundError):
        directory.rename(trash)
    with suppress(FileNotFoundError):
        shutil.rmtree(trash)
