"""The data directory: which installation it belongs to is written in it, so that no other's work is mixed in."""

import os
from pathlib import Path
from uuid import UUID

from app.errors import SetupError

NAME = "installation"


def require_data_dir(data_dir: Path, installation: UUID, *, may_adopt: bool) -> None:
    """Check that the directory is this installation's; one that is nobody's yet becomes so if it ``may_adopt`` it.

    Raises:
        SetupError: it belongs to another installation or to nobody, or cannot be written.

    """
    marker = data_dir / NAME
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if may_adopt:
            _adopt(data_dir, marker, installation)
        found = marker.read_text("utf-8").strip()
    except FileNotFoundError:
        # Work of this installation lies elsewhere: a path mistaken, a volume not mounted or not shared.
        raise SetupError(
            f"The data directory {data_dir} is not the one that the workers of this installation share. Set "
            f"HEADWAY_DATA_DIR to that one, or mount it here. To begin with an empty one on purpose: "
            f"echo {installation} > {marker}"
        ) from None
    except OSError as error:
        raise SetupError(f"The data directory {data_dir} cannot be used: {error.strerror}.") from None
    if found != str(installation):
        raise SetupError(
            f"The data directory {data_dir} belongs to installation {found}, and the database to {installation}. "
            "Set HEADWAY_DATA_DIR and HEADWAY_DATABASE_URL so that they belong together."
        )


def _adopt(data_dir: Path, marker: Path, installation: UUID) -> None:
    mine = data_dir / f".{NAME}.{os.getpid()}"
    mine.write_text(f"{installation}\n", "utf-8")
    try:
        os.link(mine, marker)  # the first one wins, whole, among any number of hosts
    except FileExistsError:
        pass
    finally:
        mine.unlink()
