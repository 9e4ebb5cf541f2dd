"""The lease of a worker, as in ``workers/lease.py``: a thread that beats, and a guard that lets go in time."""

from typing import TYPE_CHECKING

from tests.properties.simulation.model import leases
from tests.properties.simulation.model.leases import LEASE_S
from tests.properties.simulation.world.attempt import Stop
from tests.properties.simulation.world.owner import Body
from tests.properties.simulation.world.postgres import transaction

if TYPE_CHECKING:
    from tests.properties.simulation.world.worker import Worker

INTERVAL_S = LEASE_S / 3
STEP_S = LEASE_S / 20
WARN_SHARE = 2 / 3
KILL_SHARE = 0.9


def beats(worker: "Worker") -> Body:
    """Renew the lease again and again; a lease counts from before the beat that renewed it."""
    world = worker.world
    while True:
        began = world.now
        answer = yield from transaction(world, worker, leases.beat, worker.number, list(worker.attempts))
        if answer is None:
            yield STEP_S
            continue
        if not answer.lost:
            worker.renewed_at = renewal_counts_from(began, world.now)
        worker.on_beat(answer)
        yield max(0.0, began + INTERVAL_S - world.now)


def renewal_counts_from(began: float, _answered: float) -> float:
    """When the lease was renewed: at the earliest when the beat began."""
    return began


def guard(worker: "Worker") -> Body:
    """Stop everything before the lease can be taken: with a warning first, if there is time."""
    world = worker.world
    while True:
        share = (world.now - worker.renewed_at) / LEASE_S
        if share > WARN_SHARE:
            on_doubt(worker, share)
            yield STEP_S
        else:
            yield (WARN_SHARE - share) * LEASE_S + 0.001


def on_doubt(worker: "Worker", share: float) -> None:
    """The lease could not be renewed for this share of its time."""
    worker.world.met.add("lease_in_doubt")
    worker.is_leased = False
    worker.stop_all(Stop.FENCED if share > KILL_SHARE else Stop.DRAIN)
