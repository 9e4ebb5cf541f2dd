"""The faults, by what they strike; importing this registers all of them."""

from tests.chaos.campaign.fault import FAULTS
from tests.chaos.campaign.faults import (
    clients,
    control_plane,
    crash_points,
    machine,
    postgres,
    redis,
    stages,
    workers,
)

__all__ = ["FAULTS", "clients", "control_plane", "crash_points", "machine", "postgres", "redis", "stages", "workers"]
