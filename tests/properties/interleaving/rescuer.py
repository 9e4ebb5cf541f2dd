"""The rescuer: finds attempts that their workers will not end, and ends them as the services do."""

from app.db import stages as db
from app.services import stages as services
from tests.properties.interleaving.calls import Complete
from tests.properties.interleaving.reference import leases
from tests.properties.interleaving.stand import Stand
from tests.properties.interleaving.verify import same

LIMIT = 1_000
TIMEOUT_S = 60.0


async def lost(stand: Stand) -> Complete | None:
    """What the rescuer says of attempts whose worker is gone."""
    found = await db.lost(stand.control, LIMIT)
    same("lost", {(each.stage, each.attempt, each.losses) for each in found}, leases.lost(stand.ledger))
    return Complete(tuple(map(services._as_lost, found))) if found else None


async def overdue(stand: Stand) -> Complete | None:
    """What it says of attempts that have overrun, as if all the time that they may take had passed."""
    found = await db.overdue(stand.control, -TIMEOUT_S / 2)
    same("overdue", {(each.stage, each.attempt, each.failures) for each in found}, leases.overdue(stand.ledger))
    return Complete(tuple(map(services._as_timed_out, found))) if found else None
