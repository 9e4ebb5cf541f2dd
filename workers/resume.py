"""Where an attempt takes up the work: at the newest checkpoint of its stage that is still whole."""

import asyncio
from pathlib import Path

import structlog

from app.artifacts import FOLDER
from app.services import checkpoints
from schemas.stage import Claim
from workers import contract
from workers.room import Room

log = structlog.get_logger()


async def resume_point(room: Room, claim: Claim) -> str | None:
    """Look at the checkpoint to resume from; a torn one is marked invalid, and the one before it is looked at.

    Only what lies in the artifacts can be looked at: whatever a program has stored elsewhere is its own business.

    Raises:
        Unavailable: Postgres is away; it may be called again.

    """
    passed_over = None
    while (point := await checkpoints.resume_point(room.pool, claim.stage, claim.lease_token)) is not None:
        if point.path == passed_over or not is_ours(room, point.path):
            return point.path
        reason = await asyncio.to_thread(contract.fault_of, Path(point.path), point.bytes)
        if reason is None:
            return point.path
        log.warning("checkpoint_passed_over", path=point.path, reason=reason)
        await checkpoints.condemn(room.pool, claim.stage, claim.lease_token, point.path, reason)
        passed_over = point.path
    return None


def is_ours(room: Room, path: str) -> bool:
    """Whether it lies in the artifacts, which all workers see alike."""
    try:
        return Path(path).resolve().is_relative_to(room.settings.data_dir.resolve() / FOLDER)
    except (OSError, ValueError, RuntimeError):
        return False
