"""Periodic tasks: what workers do for the installation by the clock, and what became of it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct


class SlotOutcome(StrEnum):
    """How a slot of a periodic task ended: the words of an attempt, and ``missed``."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    """Its worker has left."""
    LOST = "lost"
    """Its worker has lost its lease in the middle of it."""
    MISSED = "missed"
    """Nobody was there to run it."""


class TakenSlot(Struct, frozen=True):
    """A slot that a worker has taken and runs now."""

    name: str
    slot: datetime


class PeriodicRun(Struct, kw_only=True):
    """One slot; ``outcome`` is null while it runs, ``done`` is how much there was to do."""

    slot: datetime
    worker: str | None
    outcome: SlotOutcome | None
    done: int | None
    error: dict[str, Any] | None
    started_at: datetime | None
    finished_at: datetime | None
    duration_s: float | None


class PeriodicTask(Struct, kw_only=True):
    """A periodic task; ``next_run_at`` lies in the past when a slot has begun and nobody has taken it.

    ``last_success_at`` is when a run last completed, as far as runs are kept.
    """

    name: str
    interval_s: int
    last_run: PeriodicRun | None
    next_run_at: datetime
    last_success_at: datetime | None
    missed: int
    last_missed_at: datetime | None


class PeriodicTaskPage(Struct, kw_only=True):
    """All periodic tasks, by name; there is never a next page."""

    items: list[PeriodicTask]
    next_cursor: str | None
