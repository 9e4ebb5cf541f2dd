"""The reference of a schedule: what its slots are, if its callers had come one after the other. Slots are hours."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from schemas.schedule import CatchUp, Overlap, SlotState

BASE = datetime(2020, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
CATCH_UP_MAX = 3


def moment(hour: int) -> datetime:
    """When a slot is."""
    return BASE + hour * HOUR


@dataclass
class Row:
    """A slot that is decided; ``ended``: its pipeline was seen to have ended."""

    state: SlotState
    pipeline: UUID | None = None
    ended: bool = False


@dataclass(frozen=True)
class Look:
    """What a scheduler saw: the schedule as it was then."""

    revision: int
    slot: int
    now: int
    catch_up: CatchUp
    waiting: bool

    @property
    def late(self) -> list[int]:
        """The slots that have come and are no longer on time."""
        return [*range(self.slot, self.now)]

    @property
    def caught_up(self) -> list[int]:
        """Those of them that run all the same."""
        wanted = {CatchUp.NONE: 0, CatchUp.LATEST: 0, CatchUp.ALL: CATCH_UP_MAX}[self.catch_up]  # one is on time
        return self.late[max(0, len(self.late) - wanted) :]

    @property
    def runs(self) -> list[int]:
        """The slots that run, if nothing is in the way of them."""
        return [self.slot] if self.waiting else [*self.caught_up, self.now]


@dataclass
class Timetable:
    """The schedule and its slots, as far as they are committed."""

    revision: int = 0
    following: int | None = 0
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.ALL
    missed: int = 0
    is_there: bool = True
    slots: dict[int, Row] = field(default_factory=dict)
    pipelines: dict[UUID, bool] = field(default_factory=dict)
    """Whether it is under way."""

    @property
    def paused(self) -> bool:
        """Nothing fires."""
        return self.following is None

    @property
    def waiting(self) -> list[int]:
        """Slots that wait."""
        return [hour for hour, row in self.slots.items() if row.state is SlotState.WAITING]

    @property
    def in_the_way(self) -> list[UUID]:
        """Pipelines of slots that were not seen to have ended, and have not."""
        return [
            row.pipeline
            for row in self.slots.values()
            if row.pipeline and not row.ended and self.pipelines.get(row.pipeline)
        ]

    def matches(self, look: Look) -> bool:
        """Whether the schedule is still as somebody saw it."""
        if not self.is_there or look.revision != self.revision:
            return False
        return not self.paused if look.waiting else self.following == look.slot

    def decide(self, look: Look) -> dict[int, SlotState]:
        """The slots that a firing adds or changes."""
        if look.waiting:
            runs = look.slot in self.waiting and not self.in_the_way
            return {look.slot: SlotState.FIRED} if runs else {}
        decided = dict.fromkeys(set(look.late) - set(look.caught_up), SlotState.MISSED)
        is_open, waiting = bool(self.in_the_way), [*self.waiting]
        for hour in look.runs:
            if self.overlap is Overlap.ALLOW or not (is_open or waiting):
                decided[hour], is_open = SlotState.FIRED, True
            elif self.overlap is Overlap.SKIP or (self.overlap is Overlap.BUFFER_ONE and waiting):
                decided[hour] = SlotState.SKIPPED
            else:
                decided |= dict.fromkeys(waiting, SlotState.SKIPPED)
                decided[hour], waiting = SlotState.WAITING, [hour]
        return decided

    def over(self) -> list[int]:
        """The slots whose pipelines are seen to have ended by somebody who looks now."""
        fired = [(hour, row) for hour, row in self.slots.items() if row.pipeline and not row.ended]
        return [hour for hour, row in fired if row.pipeline and not self.pipelines.get(row.pipeline)]

    def forgettable(self) -> list[int]:
        """The slots that do not matter for the next one."""
        newest = max(self.slots, default=0)
        return [
            hour
            for hour, row in self.slots.items()
            if hour < newest and row.state is not SlotState.WAITING and (row.state is not SlotState.FIRED or row.ended)
        ]
