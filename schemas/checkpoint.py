"""Checkpoints of training stages."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from schemas.states import CheckpointState


class CheckpointReport(Struct, frozen=True):
    """A running attempt writes a checkpoint, has finished it, or has found it ``invalid`` for a ``reason``.

    ``step`` orders the checkpoints of a stage.
    """

    stage: UUID
    lease_token: UUID
    step: int
    path: str
    metrics: dict[str, Any]
    bytes: int
    state: CheckpointState = CheckpointState.COMPLETE
    reason: str | None = None


class ResumePoint(Struct, frozen=True):
    """Where an attempt takes up the work; ``bytes`` is how large it was when it was reported."""

    path: str
    bytes: int


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A checkpoint file or directory: which attempt of which stage has reported it, and what has become of it."""

    id: int
    pipeline: UUID
    stage: str
    task_id: UUID
    attempt: int
    step: int
    path: str
    metrics: dict[str, Any]
    bytes: int
    state: CheckpointState
    reason: str | None
    pinned: bool
    created_at: datetime


class StoredCheckpoint(Checkpoint, frozen=True, kw_only=True):
    """A checkpoint as retention judges it.

    ``live`` while its stage may still run or be retried, and so may resume from it; ``held`` while the attempt that
    reported it runs.
    """

    live: bool
    held: bool


class CheckpointPage(Struct, kw_only=True):
    """One page of a list of checkpoints, newest first; ``next_cursor`` is null on the last one."""

    items: list[Checkpoint]
    next_cursor: str | None
