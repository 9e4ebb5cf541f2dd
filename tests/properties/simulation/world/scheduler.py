"""A scheduler, as in ``app/scheduler``: it hears hints, sweeps, dispatches again, rescues. None leads."""

from typing import TYPE_CHECKING

from app.core import retry
from schemas.states import Outcome
from tests.properties.simulation.model import completion, leases, release
from tests.properties.simulation.model.leases import LEASE_S
from tests.properties.simulation.model.records import Completion, Stage
from tests.properties.simulation.witness.processes import check_overdue
from tests.properties.simulation.world.owner import Body, Owner
from tests.properties.simulation.world.postgres import is_reachable, transaction

if TYPE_CHECKING:
    from tests.properties.simulation.world.world import World

SWEEP_S = 5.0
MIN_AGE_S = 2.0
DAWDLES_S = 20.0
RESTART_S = 3.0


class Scheduler(Owner):
    """One incarnation. ``clock_error_s`` is by how much its own clock is wrong: it may decide nothing by it."""

    __slots__ = ("batch", "clock_error_s", "starts_at", "ticked_at", "trusts_leases_at", "world")

    def __init__(self, world: "World", clock_error_s: float, delay: float = 0.0) -> None:
        super().__init__(f"scheduler {world.new_name()}", "crash_scheduler")
        self.world = world
        self.clock_error_s = clock_error_s
        self.batch = release.BATCH if world.dice() < 0.7 else 1 + int(world.dice() * 2)
        self.ticked_at: float | None = None
        self.trusts_leases_at = -1e9
        self.starts_at = world.now + delay
        world.schedulers.append(self)
        world.spawn(self, self._sweeps(), delay + world.dice() * SWEEP_S)
        world.spawn(self, self._rescues(), delay + world.dice() * SWEEP_S)

    def clock(self) -> float:
        """What this process takes for the time."""
        return self.world.now + self.clock_error_s

    def hear(self) -> None:
        """A hint has come: go and look. One that has not started yet does not hear it, and nobody else does."""
        if self.world.now >= self.starts_at:
            self.world.spawn(self, self._release(), self.world.latency())

    def _sweeps(self) -> Body:
        """The releaser's sweep, the retrier and the dispatcher."""
        world = self.world
        while True:
            if is_reachable(world, self):
                if self.sees_something_to_release():
                    world.met.add("swept")
                    yield from self._release()
                self.dispatch_again()
            yield SWEEP_S * (0.8 + 0.4 * world.dice())

    def sees_something_to_release(self) -> bool:
        """The sweep's question to Postgres."""
        return release.is_releasable(self.world.db, self.world.now)

    def dispatch_again(self) -> None:
        """What Redis should hold is derived from Postgres: all of it after a loss."""
        redis, world = self.world.redis, self.world
        if not redis.is_away():
            redis.put_back_stale()
            redis.dispatch(release.queued_jobs(world.db, world.now, MIN_AGE_S if redis.is_complete else 0.0))
            redis.is_complete = True

    def _release(self) -> Body:
        """The second act, pass after pass; what is lost on the way to Redis is found by a sweep."""
        world = self.world
        more = True
        while more:
            if world.releasing is not None and world.releasing is not self and not world.releasing.gone:
                world.met.add("two_release_at_once")
            world.releasing = self
            answer = yield from transaction(world, self, release.release, self.batch)
            world.releasing = None
            if answer is None:
                return
            if answer.queued:
                yield world.latency()
                world.redis.dispatch(answer.queued)
            more = answer.more

    def _rescues(self) -> Body:
        """End what is long past its timeout; take expired leases, unless it was away; end what they held."""
        world = self.world
        while True:
            if is_reachable(world, self):
                yield from self._rescue_once()
            yield SWEEP_S * (0.8 + 0.4 * world.dice())

    def _rescue_once(self) -> Body:
        world, db = self.world, self.world.db
        overdue = leases.overdue(db, world.now)
        for stage in overdue:
            check_overdue(world, stage)
        overran = [self._as_timed_out(stage) for stage in overdue]
        if not (yield from self._complete(overran)):
            return
        now = self.clock()
        if self.was_away(now):
            self.trusts_leases_at = now + LEASE_S
        trusts = now >= self.trusts_leases_at and self.may_find_expired()
        if trusts and (yield from transaction(world, self, leases.expire)) is None:
            return
        self.ticked_at = now
        lost = [self._as_lost(stage) for stage in leases.lost(db, world.now)]
        if (yield from self._complete(lost)) and (overran or lost):
            yield world.latency()
            yield from self._release()

    def _complete(self, said: list[Completion]) -> Body:
        """In transactions of their own: the worker's may come between."""
        for each in said:
            if self.world.happens("rescuer_dawdles"):
                yield self.world.dice() * DAWDLES_S
            accepted = yield from transaction(self.world, self, completion.complete, each)
            if accepted is None:
                return False
            if not accepted:
                self.world.met.add("rescue_came_too_late")
            else:
                self.world.met.add("rescued" if each.outcome is Outcome.LOST else "timeout_enforced")
        return True

    def was_away(self, now: float) -> bool:
        """Whether it has missed two ticks, or has only just begun: everybody may have been cut off from Postgres."""
        return self.ticked_at is None or now - self.ticked_at > 2 * SWEEP_S + 1

    def may_find_expired(self) -> bool:
        """Spares the call where it would find nothing."""
        now = self.world.now
        return any(each.state in leases.BEATING and each.expires_at < now for each in self.world.db.leases.values())

    def _as_lost(self, stage: Stage) -> Completion:
        quarantined = retry.quarantined(stage.losses + 1)
        if quarantined:
            self.world.met.add("quarantined")
        delay_s = None if quarantined else 0.0
        return Completion(
            stage.position, stage.attempt, stage.lease_token or 0, Outcome.LOST, delay_s, costs_retry=False
        )

    def _as_timed_out(self, stage: Stage) -> Completion:
        delay_s = retry.next_delay_s(stage.failures + 1, stage, retryable=True, jitter=self.world.dice())
        return Completion(stage.position, stage.attempt, stage.lease_token or 0, Outcome.TIMED_OUT, delay_s)

    def on_end(self) -> None:
        """It has crashed; another incarnation takes its place."""
        world = self.world
        world.schedulers.remove(self)
        Scheduler(world, self.clock_error_s, world.dice() * RESTART_S)
