"""What to type next, as it works here: the command may not be on the PATH, and the data not in the default place."""

import shlex
import shutil
import sys
from pathlib import Path

from app.settings import Settings

EXAMPLE = "examples/training.yaml"


def command(settings: Settings | None = None) -> str:
    """Write how ``headway`` is called in this directory, for the data directory of the settings."""
    moved = settings is not None and settings.data_dir != Settings.model_fields["data_dir"].default
    where = f"HEADWAY_DATA_DIR={shlex.quote(str(settings.data_dir))} " if settings and moved else ""
    return where + _program()


def example() -> str:
    """Name a pipeline file that is there; outside of a checkout, any."""
    return EXAMPLE if Path(EXAMPLE).exists() else "pipeline.yaml"


def _program() -> str:
    beside = Path(sys.executable).with_name("headway")
    if shutil.which("headway"):
        return "headway"
    if not beside.exists():
        return f"{shlex.quote(sys.executable)} -m app.cli"
    here = Path.cwd()
    return shlex.quote(str(beside.relative_to(here) if beside.is_relative_to(here) else beside))
