"""A worker process, as in ``workers/worker.py``: pop, claim, run; drain; restart after a crash."""

from typing import TYPE_CHECKING

from schemas.states import Outcome, PipelineStatus, StageStatus
from tests.properties.simulation.model import claims, completion, leases
from tests.properties.simulation.model.leases import LEASE_S
from tests.properties.simulation.model.records import Completion, Job
from tests.properties.simulation.world.attempt import RunningAttempt, Stop
from tests.properties.simulation.world.lease import beats, guard, renewal_counts_from
from tests.properties.simulation.world.owner import Body, Owner, Thread
from tests.properties.simulation.world.postgres import transaction
from tests.properties.simulation.world.process import KILL_S

if TYPE_CHECKING:
    from tests.properties.simulation.world.world import World

PAUSE_S = 0.5
WAIT_S = 6.0
HALF_DRAIN_S = 6.0
RESTART_S = 4.0
HANDED_BACK_AS = Outcome.CANCELLED  # as in a drain: nobody was lost, so it does not count towards quarantine
REFUSED_WHILE = {
    PipelineStatus.PAUSED: "claim_refused_by_pause",
    PipelineStatus.CANCELLING: "claim_refused_by_cancel",
    PipelineStatus.CANCELLED: "claim_refused_by_cancel",
}


class Worker(Owner):
    """One incarnation. ``attempts`` are those it knows of, by lease token; ``asking`` the tokens of open claims."""

    __slots__ = (
        "asking",
        "attempts",
        "beat_thread",
        "handing_back",
        "is_draining",
        "is_leased",
        "main_thread",
        "number",
        "renewed_at",
        "slots",
        "world",
    )

    def __init__(self, world: "World", slots: int, delay: float = 0.0) -> None:
        number = world.new_name()
        super().__init__(f"worker {number}", "crash_worker")
        self.number = number
        self.world = world
        self.slots = slots
        self.attempts: dict[int, RunningAttempt] = {}
        self.asking: dict[int, None] = {}
        self.is_draining = False
        self.is_leased = True
        self.renewed_at = 0.0
        self.handing_back = 0
        self.beat_thread: Thread | None = None
        world.workers.append(self)
        self.main_thread = world.spawn(self, self.main(), delay)

    def main(self) -> Body:
        """Serve until drained, then until every outcome is committed."""
        world = self.world
        began = world.now
        if (yield from transaction(world, self, leases.register, self.number)) is None:
            world.end(self)
            return
        self.renewed_at = renewal_counts_from(began, world.now)
        self.beat_thread = world.spawn(self, beats(self))
        world.spawn(self, guard(self))
        yield from self._serve()
        yield from self._finish()
        world.end(self)

    def _serve(self) -> Body:
        redis, world = self.world.redis, self.world
        while not self.is_draining:
            if not self.is_leased or self._executing() >= self.slots:
                yield None
            elif job := redis.pop():
                yield world.latency()
                yield from self._start(job)
            else:
                redis.waiting.append(self.main_thread)
                yield WAIT_S * (0.5 + world.dice())
                if self.main_thread in redis.waiting:
                    redis.waiting.remove(self.main_thread)

    def _start(self, job: Job) -> Body:
        """Claim a popped job in Postgres; ask with the same token until there is an answer."""
        world, lease_token = self.world, self.world.new_name()
        if world.happens("locked"):  # somebody else holds the pipeline: nothing was done
            world.redis.put_back(job)
            return
        self.asking[lease_token] = None
        repeated, asked_at = False, world.now
        while True:
            answer = yield from transaction(world, self, claims.claim, self.number, job, lease_token)
            if answer is not None:
                break
            repeated = True
            yield PAUSE_S
        del self.asking[lease_token]
        if answer.claim is None:
            self._note_refusal(job)
        elif world.happens("forgets_claim"):
            pass
        else:
            self.attempts[lease_token] = attempt = RunningAttempt(self, answer.claim)
            if not self.may_start() or self.is_too_late(asked_at):
                attempt.stop(Stop.FENCED)
            if repeated:
                world.met.add("claim_repeated")
        yield world.latency()
        world.redis.settle(job)
        if answer.worker_lost:
            self.lose_lease()

    def _note_refusal(self, job: Job) -> None:
        pipeline = self.world.db.pipeline
        stage = pipeline.stages[job.position]
        if pipeline.status in REFUSED_WHILE:
            self.world.met.add(REFUSED_WHILE[pipeline.status])
        elif stage.dispatch_token != job.dispatch_token:
            self.world.met.add("old_job_refused")
        elif stage.status is not StageStatus.QUEUED:
            self.world.met.add("double_delivery_refused")

    def owes_an_outcome(self) -> bool:
        """Whether it may still have something to say about the pipeline."""
        return bool(self.handing_back or self.asking) or any(not each.is_deaf for each in self.attempts.values())

    def may_start(self) -> bool:
        """Whether the lease was not in doubt when the answer to the claim came."""
        return self.is_leased

    def is_too_late(self, asked_at: float) -> bool:
        """Whether the answer to a claim took so long that its attempt may have been ended by others."""
        return self.world.now - asked_at > LEASE_S

    def _executing(self) -> int:
        return sum(attempt.is_executing for attempt in self.attempts.values())

    def slot_is_free(self) -> None:
        """An attempt is no longer executing."""
        if self.main_thread.due == -1 or self.is_draining:
            self.world.wake(self.main_thread)

    def let_go(self, lease_token: int) -> None:
        """The outcome is committed, or is no longer ours to tell."""
        self.attempts.pop(lease_token, None)

    def hint(self) -> None:
        """Say on the stream that there may be something to release: one scheduler hears it, or none."""
        world = self.world
        if world.redis.is_away() or world.happens("lost_hint"):
            return
        for _ in range(2 if world.happens("doubled_hint") else 1):
            world.schedulers[int(world.dice() * len(world.schedulers))].hear()

    def on_beat(self, beat: leases.Beat) -> None:
        """Stop what the beat says to stop, and hand back attempts that we know nothing of."""
        if beat.lost:
            self.lose_lease()
            return
        if not self.is_leased:
            self.is_leased = True
            self.slot_is_free()
        for reason, lease_tokens in ((Stop.CANCEL, beat.cancelled), (Stop.FENCED, beat.fenced)):
            for lease_token in lease_tokens:
                if attempt := self.attempts.get(lease_token):
                    attempt.stop(reason)
        for stranger in beat.strangers:
            if self.is_stranger(stranger):
                self.world.met.add("stranger_handed_back")
                self.handing_back += 1
                self.world.spawn(self, self._hand_back(stranger))

    def is_stranger(self, stranger: leases.Stranger) -> bool:
        """Whether this worker really knows nothing of the attempt."""
        return stranger.lease_token not in self.attempts and stranger.lease_token not in self.asking

    def _hand_back(self, stranger: leases.Stranger) -> Body:
        said = Completion(*stranger, HANDED_BACK_AS, 0.0, costs_retry=False)
        while (yield from transaction(self.world, self, completion.complete, said)) is None:
            yield PAUSE_S
        self.let_go(stranger.lease_token)
        self.handing_back -= 1
        yield self.world.latency()
        self.hint()

    def stop_all(self, reason: Stop) -> None:
        """Ask everything to end."""
        for attempt in list(self.attempts.values()):
            attempt.stop(reason)

    def lose_lease(self) -> None:
        """The lease was taken: nothing here is ours any more."""
        self.world.met.add("lease_lost")
        self.is_leased = False
        self.stop_all(Stop.FENCED)
        self.drain()

    def drain(self) -> None:
        """Take no more work."""
        self.is_draining = True
        self.world.wake(self.main_thread)

    def _finish(self) -> Body:
        """Let what runs finish, then ask it to leave, then kill it; and report everything."""
        world = self.world
        yield from transaction(world, self, leases.leave, self.number, "draining")
        for reason in (None, Stop.DRAIN, Stop.FENCED):
            if reason is not None:
                self.stop_all(reason)
            until = world.now + HALF_DRAIN_S
            while self._executing() and world.now < until:
                yield until - world.now + 0.001
        while any(not attempt.is_executing for attempt in self.attempts.values()):
            yield PAUSE_S
        yield from transaction(world, self, leases.leave, self.number, "stopped")

    def on_end(self) -> None:
        """It has crashed or left: its process groups die with it, and another incarnation takes its place."""
        world = self.world
        if world.trace is not None:
            world.say(f"{self.name} is gone")
        for attempt in self.attempts.values():
            if attempt.process is not None:
                attempt.process.kill(KILL_S)
        if self.main_thread in world.redis.waiting:
            world.redis.waiting.remove(self.main_thread)
        world.workers.remove(self)
        Worker(world, self.slots, world.dice() * RESTART_S)
