"""Leases: register, beat, leave, expire; and the rescuer's two questions. All by the database's clock."""

from typing import NamedTuple

from schemas.states import PipelineStatus, StageStatus
from tests.properties.simulation.model.records import Database, Lease, Pipeline, Stage

LEASE_S = 30.0
BEATING = ("live", "draining")


class Stranger(NamedTuple):
    """An attempt that Postgres gave to a worker that does not know of it."""

    position: int
    attempt: int
    lease_token: int


class Beat(NamedTuple):
    """The answer to a heartbeat; the lists have lease tokens of attempts to stop."""

    lost: bool
    cancelled: list[int]
    fenced: list[int]
    strangers: list[Stranger]

    def __repr__(self) -> str:
        told = ("cancelled", self.cancelled), ("fenced", self.fenced), ("strangers", self.strangers)
        return "lost" if self.lost else ", ".join(f"{name} {items}" for name, items in told if items) or "renewed"


LOST = Beat(lost=True, cancelled=[], fenced=[], strangers=[])


def register(db: Database, now: float, worker: int) -> bool:
    """One incarnation of a worker process begins, under a fresh lease."""
    db.leases[worker] = Lease(now + LEASE_S)
    return True


def leave(db: Database, _now: float, worker: int, state: str) -> bool:
    """A worker takes no more work (draining), or has ended (stopped)."""
    lease = db.leases[worker]
    if lease.state in BEATING:
        lease.state = state
    return True


def may_claim(db: Database, now: float, worker: int) -> bool:
    """Whether its lease still holds."""
    return db.leases[worker].state == "live" and is_alive(db, now, worker)


def beat(db: Database, now: float, worker: int, held: list[int]) -> Beat:
    """``beat_worker``: renew the lease and compare notes."""
    lease, pipeline = db.leases[worker], db.pipeline
    if lease.state not in BEATING:
        return LOST
    lease.expires_at = now + LEASE_S
    mine = {stage.lease_token: stage for stage in pipeline.stages if _is_run_by(stage, worker)}
    if not mine and not held:
        return Beat(lost=False, cancelled=[], fenced=[], strangers=[])
    return Beat(
        lost=False,
        cancelled=[token for token in held if token in mine and is_to_be_stopped(pipeline, mine[token])],
        fenced=[token for token in held if token not in mine],
        strangers=[
            Stranger(stage.position, stage.attempt, token)
            for token, stage in mine.items()
            if token not in held and is_old_enough(stage, now)
        ],
    )


def is_to_be_stopped(pipeline: Pipeline, stage: Stage) -> bool:
    """Whether a running stage is cancelled, with its pipeline or singly."""
    return pipeline.status is PipelineStatus.CANCELLING or stage.cancel_asked


def _is_run_by(stage: Stage, worker: int) -> bool:
    return stage.status is StageStatus.RUNNING and stage.worker == worker


def is_old_enough(stage: Stage, now: float) -> bool:
    """Whether the answer to its claim must have arrived by now, if it ever does."""
    return stage.started_at < now - LEASE_S


def expire(db: Database, now: float) -> list[int]:
    """``expire_workers``: take the leases that have run out; answers whose."""
    expired = [worker for worker, lease in db.leases.items() if lease.state in BEATING and lease.expires_at < now]
    for worker in expired:
        db.leases[worker].state = "lost"
    return expired


def lost(db: Database, _now: float) -> list[Stage]:
    """Running stages whose worker has lost its lease, or has left."""
    return [s for s in db.pipeline.stages if _runs(s) and db.leases[s.worker or 0].state not in BEATING]


def overdue(db: Database, now: float) -> list[Stage]:
    """Running stages whose worker lives, should have ended them at their timeout, and has not for two leases."""
    return [
        s
        for s in db.pipeline.stages
        if _runs(s) and must_end_at(s) < now - 2 * LEASE_S and is_alive(db, now, s.worker or 0)
    ]


def must_end_at(stage: Stage) -> float:
    """When its worker must have ended a running stage: at its timeout, or when its total timeout is over."""
    ends_at = stage.started_at + stage.timeout_s
    return ends_at if stage.expires_at is None else min(ends_at, stage.expires_at)


def is_alive(db: Database, now: float, worker: int) -> bool:
    """Whether a worker's lease holds; the stages of the others are lost, which costs them nothing."""
    lease = db.leases[worker]
    return lease.state in BEATING and lease.expires_at > now


def _runs(stage: Stage) -> bool:
    return stage.status is StageStatus.RUNNING
