"""One attempt on its worker, as in ``workers/stage.py``, ``process.py`` and ``completer.py``."""

from enum import IntEnum
from typing import TYPE_CHECKING

from app.core import retry
from schemas.states import Outcome
from tests.properties.simulation.model import completion
from tests.properties.simulation.model.claims import Claim
from tests.properties.simulation.model.records import Completion
from tests.properties.simulation.witness.processes import check_end
from tests.properties.simulation.world.owner import Body, Thread
from tests.properties.simulation.world.postgres import transaction
from tests.properties.simulation.world.process import GRACE_S, Process

if TYPE_CHECKING:
    from tests.properties.simulation.world.worker import Worker

PAUSE_S = 0.5
UNKNOWN_TASK_DELAY_S = 10.0
POISON_S = 1.0


class Stop(IntEnum):
    """Why an attempt is stopped; the later ones outrank the earlier."""

    DRAIN = 1
    TIMEOUT = 2
    CANCEL = 3
    FENCED = 4


class RunningAttempt:
    """From the granted claim until its outcome is committed."""

    __slots__ = ("claim", "is_deaf", "is_executing", "process", "stop_reason", "thread", "worker")

    def __init__(self, worker: "Worker", claim: Claim) -> None:
        self.worker = worker
        self.claim = claim
        self.stop_reason: Stop | None = None
        self.process: Process | None = None
        self.is_executing = True
        self.is_deaf = False
        self.thread: Thread = worker.world.spawn(worker, self.run())

    def stop(self, reason: Stop) -> None:
        """Ask it to end, once for each rising rank of reasons."""
        if self.stop_reason is None or reason > self.stop_reason:
            self.stop_reason = reason
            if self.is_executing and self.process is not None:
                self.worker.world.wake(self.thread)

    def run(self) -> Body:
        """Prepare, execute, report."""
        world, worker = self.worker.world, self.worker
        if world.happens("task_unknown"):
            said = self._says(Outcome.CANCELLED, UNKNOWN_TASK_DELAY_S, costs_retry=False)
        else:
            yield world.latency()
            if self.may_start():
                yield from self._execute()
            if worker.gone:
                return
            if self.process is not None:
                check_end(self.process)
            said = self._conclude("stopped" if self.process is None else self.process.ending)
        self.is_executing = False
        worker.slot_is_free()
        yield from self._report(said)

    def may_start(self) -> bool:
        """Whether nobody has asked it to stop before it began."""
        return self.stop_reason is None

    def _execute(self) -> Body:
        world, worker, claim = self.worker.world, self.worker, self.claim
        self.process = Process(world, self)
        if world.trace is not None:
            world.say(
                f"{worker.name} runs attempt {claim.attempt} of stage {claim.position}; will be {self.process.ending}"
            )
        if claim.position in world.scenario.poisonous:
            yield POISON_S
            world.met.add("poison")
            world.end(worker)
        else:
            yield from self._until_end(self.process)

    def _until_end(self, process: Process) -> Body:
        world = self.worker.world
        if world.happens("deaf_attempt"):
            self.is_deaf = True
            while self.stop_reason is not Stop.FENCED:
                yield None
        deadline = world.now + self.claim.time_limit_s
        while process.is_alive and self.stop_reason is None:
            if world.now >= deadline:
                self.stop_reason = Stop.TIMEOUT
            else:
                yield min(process.ends_at, deadline) - world.now + 0.001
        while process.is_alive:
            reason = self.stop_reason
            if reason is Stop.FENCED:
                process.kill()
                break
            process.terminate()
            gives_up_at = self.gives_up_draining_at(deadline) if reason is Stop.DRAIN else world.now + GRACE_S
            while process.is_alive and self.stop_reason is reason and world.now < gives_up_at:
                yield min(process.ends_at, gives_up_at) - world.now + 0.001
            if self.stop_reason is not reason:
                continue
            if reason is Stop.DRAIN:
                self.stop_reason = Stop.TIMEOUT
            else:
                process.kill()

    def gives_up_draining_at(self, deadline: float) -> float:
        """A drain ends by fencing what is left, but one that was called off may not: the timeout still holds."""
        return deadline

    def _conclude(self, ending: str) -> Completion:
        """Whoever asked it to stop, an attempt that completed all the same has completed."""
        claim, stage = self.claim, self.worker.world.db.pipeline.stages[self.claim.position]
        if ending == "completed":
            return self._says(Outcome.COMPLETED)
        if self.stop_reason is Stop.CANCEL:
            return self._says(Outcome.CANCELLED)
        if self.stop_reason in (Stop.DRAIN, Stop.FENCED):
            return self._drained()
        timed_out = self.stop_reason is Stop.TIMEOUT
        retryable = not claim.is_last if timed_out else ending != "hopeless"
        if not retryable:
            self.worker.world.witness.hopeless.add(claim.lease_token)
        outcome = Outcome.TIMED_OUT if timed_out else Outcome.FAILED
        delay_s = retry.next_delay_s(claim.failures + 1, stage, retryable=retryable, jitter=self.worker.world.dice())
        return self._says(outcome, delay_s)

    def _drained(self) -> Completion:
        self.worker.world.met.add("drained_attempt")
        return self._says(Outcome.CANCELLED, 0.0, costs_retry=False)

    def _says(self, outcome: Outcome, retry_delay_s: float | None = None, *, costs_retry: bool = True) -> Completion:
        claim = self.claim
        return Completion(claim.position, claim.attempt, claim.lease_token, outcome, retry_delay_s, costs_retry)

    def _report(self, said: Completion) -> Body:
        """Repeat the outcome until Postgres has answered for it; the attempt is held until then."""
        world, worker = self.worker.world, self.worker
        is_repeated = False
        while (accepted := (yield from transaction(world, worker, completion.complete, said))) is None:
            is_repeated = True
            yield PAUSE_S
        worker.let_go(said.lease_token)
        if not accepted:
            world.met.add("late_completion_refused")
            if worker.resumes_at >= self.claim.started_at:
                world.met.add("zombie_returns_late")
            return
        if is_repeated:
            world.met.add("completion_repeated")
        yield world.latency()
        worker.hint()
