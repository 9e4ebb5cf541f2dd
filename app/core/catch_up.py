"""Which of the slots that are due run: those that are on time, and of the late ones what the policy says."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from schemas.schedule import CatchUp

ON_TIME_S = 60.0
"""A slot is late when nobody has looked at it for so long."""


class Decided(Struct, frozen=True):
    """The slots to run and those to miss, the oldest first."""

    run: list[datetime]
    missed: list[datetime]


def decide(due: Sequence[datetime], now: datetime, policy: CatchUp, catch_up_max: int) -> Decided:
    """Divide the slots that are due, the oldest first."""
    late = [slot for slot in due if now - slot > timedelta(seconds=ON_TIME_S)]
    on_time = list(due[len(late) :])
    match policy:
        case CatchUp.NONE:
            wanted = 0
        case CatchUp.LATEST:
            wanted = 0 if on_time else 1
        case CatchUp.ALL:
            wanted = catch_up_max
    kept = late[max(0, len(late) - wanted) :]
    return Decided(kept + on_time, late[: len(late) - len(kept)])
