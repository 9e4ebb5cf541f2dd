"""Schedules: cron lines that submit pipelines, and what became of their slots."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from schemas import limits
from schemas.pipeline import Description, Labels, Priority
from schemas.template import TemplateName, Version

ScheduleName = Annotated[
    str, Meta(pattern=limits.STAGE_NAME_PATTERN, max_length=limits.STAGE_NAME_MAX, description="as a stage is named")
]
Cron = Annotated[
    str, Meta(min_length=1, max_length=256, description="minute, hour, day of month, month, day of week: 30 2 * * 1-5")
]
TimeZone = Annotated[str, Meta(min_length=1, max_length=64, description="of the IANA database: Europe/Berlin")]
CatchUpMax = Annotated[int, Meta(ge=1, le=100, description="so many late slots run with catch_up all, the newest ones")]


class Overlap(StrEnum):
    """What a slot does while a pipeline of an earlier one has not ended."""

    SKIP = "skip"
    """Nothing."""
    ALLOW = "allow"
    """It runs beside it."""
    BUFFER_ONE = "buffer_one"
    """It waits for its end, unless another slot waits already."""
    CANCEL_OTHER = "cancel_other"
    """It cancels it, and runs when it has ended."""


class CatchUp(StrEnum):
    """Which slots run that went by while no scheduler was there."""

    NONE = "none"
    LATEST = "latest"
    """The newest, unless a later one runs on time."""
    ALL = "all"
    """The newest ``catch_up_max``, the oldest of them first."""


class SlotState(StrEnum):
    """What became of a slot of a schedule."""

    FIRED = "fired"
    SKIPPED = "skipped"
    """A pipeline of an earlier slot had not ended."""
    WAITING = "waiting"
    """It runs when the pipeline of an earlier slot has ended."""
    MISSED = "missed"
    """No scheduler was there, and the catch-up policy does not want it."""
    FAILED = "failed"
    """No pipeline could be made; ``error`` says why."""


class ScheduleSpec(Struct, forbid_unknown_fields=True):
    """A schedule as a client writes it. It submits a template with params, or ``pipeline``, the body of a create call.

    Without a ``version`` the template is the newest one at the time of each slot.
    """

    name: ScheduleName
    cron: Cron
    timezone: TimeZone = "UTC"
    description: Description = ""
    template: TemplateName | None = None
    version: Version | None = None
    params: dict[str, Any] = field(default_factory=dict)
    pipeline: dict[str, Any] | None = None
    priority: Priority | None = None
    labels: Labels = field(default_factory=dict)
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_max: CatchUpMax = 10
    paused: bool = False


class SchedulePatch(Struct, forbid_unknown_fields=True):
    """What may be changed on a schedule; a field left out stays as it is.

    Naming a template drops the pipeline and, unless it is named too, the version: the newest counts.
    """

    cron: Cron | UnsetType = UNSET
    timezone: TimeZone | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    template: TemplateName | UnsetType = UNSET
    version: Version | UnsetType | None = UNSET
    params: dict[str, Any] | UnsetType = UNSET
    pipeline: dict[str, Any] | UnsetType = UNSET
    priority: Priority | UnsetType | None = UNSET
    labels: Labels | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    catch_up: CatchUp | UnsetType = UNSET
    catch_up_max: CatchUpMax | UnsetType = UNSET
    paused: bool | UnsetType = UNSET


class ScheduleSlot(Struct, kw_only=True):
    """One slot: what became of it, when, and its pipeline if it has one."""

    slot: datetime
    state: SlotState
    pipeline: UUID | None
    error: dict[str, Any] | None
    decided_at: datetime


class ScheduleSummary(Struct, kw_only=True):
    """One line of a list of schedules; ``next_run_at`` is null while it is paused, or if its line never fires again."""

    name: str
    cron: str
    timezone: str
    description: str
    template: str | None
    version: int | None
    overlap: Overlap
    catch_up: CatchUp
    catch_up_max: int
    paused: bool
    next_run_at: datetime | None
    last_slot: ScheduleSlot | None
    missed: int
    created_at: datetime
    updated_at: datetime


class Schedule(ScheduleSummary, kw_only=True):
    """Everything about one schedule; ``slots`` are its newest twenty, the newest first."""

    params: dict[str, Any]
    pipeline: dict[str, Any] | None
    priority: int | None
    labels: dict[str, str]
    slots: list[ScheduleSlot]


class SchedulePage(Struct, kw_only=True):
    """One page of schedules, by name; ``next_cursor`` is null on the last one."""

    items: list[ScheduleSummary]
    next_cursor: str | None


class DueSchedule(Struct, kw_only=True, frozen=True):
    """A schedule that a scheduler has to look at: its next slot has come, or one waits and may run now.

    ``id`` and ``revision`` are what it read, so that of several schedulers one acts.
    """

    id: int
    revision: int
    now: datetime
    slot: datetime
    waiting: bool
    name: str
    cron: str
    timezone: str
    template: str | None
    version: int | None
    params: dict[str, Any]
    pipeline: dict[str, Any] | None
    priority: int | None
    labels: dict[str, str]
    catch_up: CatchUp
    catch_up_max: int
