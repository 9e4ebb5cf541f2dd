"""Checkpoints of training stages."""

from typing import Any
from uuid import UUID

from msgspec import Struct


class CheckpointReport(Struct, frozen=True):
    """A running attempt has finished writing a checkpoint; ``step`` orders the checkpoints of a stage."""

    stage: UUID
    lease_token: UUID
    step: int
    path: str
    metrics: dict[str, Any]
    bytes: int


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A checkpoint directory; ``live`` while its stage may still resume from it."""

    id: int
    stage: str
    attempt: int
    step: int
    path: str
    metrics: dict[str, Any]
    bytes: int
    state: str
    pinned: bool
    live: bool
