"""Where an attempt takes up the work: at the newest checkpoint of its stage that is still whole."""

import asyncio
from pathlib import Path

import structlog

from app.artifacts import FOLDER
from app.errors import Unavailable
from app.services import checkpoints
from schemas.checkpoint import ResumePoint
from schemas.stage import Claim
from workers import contract
from workers.room import Room

log = structlog.get_logger()


async def resume_point(room: Room, claim: Claim) -> str | None:
    """Look at the checkpoint to resume from; a torn one is marked invalid, and the one before it is looked at.

    Only what lies in the artifacts can be looked at: whatever a program has stored elsewhere is its own business.

    One that cannot be read now is passed over, by this attempt only.

    Raises:
        Unavailable: Postgres is away, or the artifacts are; it may be called again.

    """
    passed_over: list[str] = []
    while (point := await _newest(room, claim, passed_over)) is not None:
        if not is_ours(room, point.path):
            return point.path
        try:
            reason = await asyncio.to_thread(_fault, room.settings.data_dir / FOLDER, point)
        except OSError as error:
            log.warning("checkpoint_not_read", path=point.path, error=str(error))
        else:
            if reason is None:
                return point.path
            log.warning("checkpoint_passed_over", path=point.path, reason=reason)
            await checkpoints.condemn(room.pool, claim.stage, claim.lease_token, point.path, reason)
        passed_over.append(point.path)
    return None


async def _newest(room: Room, claim: Claim, passed_over: list[str]) -> ResumePoint | None:
    return await checkpoints.resume_point(room.pool, claim.stage, claim.lease_token, passed_over=passed_over)


def _fault(root: Path, point: ResumePoint) -> str | None:
    """Look at it; what is missing below a root that is itself missing, before or after the look, proves nothing."""
    _require(root)
    try:
        return contract.fault_of(Path(point.path), point.bytes)
    finally:
        _require(root)


def _require(root: Path) -> None:
    try:
        root.stat()
    except OSError as error:
        raise Unavailable(f"The artifacts in {root} are away: {error.strerror}.") from error


def is_ours(room: Room, path: str) -> bool:
    """Whether it lies in the artifacts, which all workers see alike."""
    try:
        return Path(path).resolve().is_relative_to(room.settings.data_dir.resolve() / FOLDER)
    except (OSError, ValueError, RuntimeError):
        return False
