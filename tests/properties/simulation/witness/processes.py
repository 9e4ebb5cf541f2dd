"""The process groups themselves: what Postgres cannot see, and what the leases are for."""

from typing import TYPE_CHECKING

from schemas.states import Outcome
from tests.properties.simulation.model.leases import LEASE_S
from tests.properties.simulation.model.records import Stage
from tests.properties.simulation.witness.violation import Violation

if TYPE_CHECKING:
    from tests.properties.simulation.world.process import Process
    from tests.properties.simulation.world.world import World

SPARE_S = LEASE_S / 5
STOPS_WITHIN_S = 20.0


def check_start(world: "World", process: "Process") -> None:
    """It must hold its stage, under a lease that leaves it time to stop, and no other of the stage may be running."""
    claim, worker = process.attempt.claim, process.attempt.worker
    _check_alone(world, process)
    if process.is_excused:
        return
    what = f"attempt {claim.attempt} of stage {claim.position}"
    if world.db.leases[worker.number].expires_at < world.now + SPARE_S:
        raise Violation("stops_in_time", f"{what} began when the lease of {worker.name} was all but over")
    if world.db.pipeline.stages[claim.position].attempts[claim.attempt - 1].outcome is Outcome.CANCELLED:
        raise Violation("one_process", f"{what} began after {worker.name} had handed it back")


def check_end(process: "Process") -> None:
    """It must have ended before its lease, whether or not anybody took it."""
    claim, worker = process.attempt.claim, process.attempt.worker
    if not process.is_excused and process.world.db.leases[worker.number].expires_at < process.ends_at:
        raise Violation("stops_in_time", f"attempt {claim.attempt} of stage {claim.position} outlived its lease")


def _check_alone(world: "World", process: "Process") -> None:
    claim = process.attempt.claim
    attempts = world.db.pipeline.stages[claim.position].attempts
    for other in world.processes[claim.position]:
        if other.is_alive:
            world.met.add("two_processes")
            # Where the rescuer has enforced a timeout, the worker hears of it at its next beat only.
            is_overdue = attempts[other.attempt.claim.attempt - 1].outcome is Outcome.TIMED_OUT
            if not (is_overdue or other.is_excused or process.is_excused):
                what = f"attempt {claim.attempt} of stage {claim.position} began"
                raise Violation("one_process", f"{what} while attempt {other.attempt.claim.attempt} was running")


def check_taken(world: "World", taken: list[int]) -> None:
    """The leases of these workers were just taken: they must have let go before, and must have deserved it."""
    for processes in world.processes:
        for process in processes:
            if process.attempt.worker.number in taken and process.is_alive and not process.is_excused:
                claim = process.attempt.claim
                what = f"attempt {claim.attempt} of stage {claim.position}"
                raise Violation("stops_in_time", f"{what} was running when its lease was taken")
    for worker in world.workers:
        if worker.number in taken:
            troubled_at = max(worker.troubled_at, worker.resumes_at, worker.cut_off_until)
            if troubled_at < world.db.leases[worker.number].expires_at - LEASE_S:
                raise Violation("outage_condemns_nobody", f"{worker.name} lost its lease to an outage of Postgres")


def check_overdue(world: "World", stage: Stage) -> None:
    """The rescuer ends an attempt at its timeout only where its worker lives and is not able to."""
    for process in world.processes[stage.position]:
        if process.attempt.claim.attempt != stage.attempt or process.is_excused:
            continue
        what = f"attempt {stage.attempt} of stage {stage.position}"
        ends_by = process.started_at + process.attempt.claim.time_limit_s
        if process.ends_at < ends_by and world.db.leases[process.attempt.worker.number].expires_at < world.now:
            raise Violation("loss_costs_nothing", f"{what} was lost with its worker and is charged as timed out")
        if process.is_alive and world.now > ends_by + STOPS_WITHIN_S:
            raise Violation("timeout_kept", f"{what} overran its timeout on a worker that lives")
