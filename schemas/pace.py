"""How fast running stages get on."""

from msgspec import Struct


class RunningTotals(Struct, frozen=True, kw_only=True):
    """What runs of one task: how many stages, how many of them report progress, and how many have fallen silent.

    ``steps_per_s`` is the speed of all of them together, ``eta_s`` the longest time that one of them has to go.
    """

    task: str
    running: int
    reporting: int
    silent: int
    steps_per_s: float
    eta_s: float | None
