"""What clients ask for, and what befalls the fleet at planned times. Both are immortal; the API in between is not."""

from typing import TYPE_CHECKING

from schemas.states import PIPELINE_TERMINAL, STAGE_TERMINAL, PipelineStatus, StageStatus
from tests.properties.simulation.model import control, submit
from tests.properties.simulation.model.records import Job
from tests.properties.simulation.schedule import CLIENT_ACTS
from tests.properties.simulation.witness.violation import Violation
from tests.properties.simulation.world.owner import Body, Owner
from tests.properties.simulation.world.postgres import transaction

if TYPE_CHECKING:
    from tests.properties.simulation.world.world import World

REPEATS_MAX = 3
OF_ONE_STAGE = ("cancel_stage", "retry_stage")
CARES_AGAIN_S = 60.0
CANCELS_WITHIN_S = 150.0
STEP_S = 0.05


class ApiCall(Owner):
    """One request in an API process that may crash at any step of it; the client sees an error."""

    __slots__ = ("world",)

    def __init__(self, world: "World") -> None:
        super().__init__("api", "crash_api")
        self.world = world
        world.calls += 1

    def make(self, what: str) -> Body:
        """Transaction first, then dispatch. The client repeats what was not answered, a few times."""
        world = self.world
        verb = getattr(submit if what == "start" else control, what)
        of = (int(world.dice() * len(world.scenario.stages)),) if what in OF_ONE_STAGE else ()
        for _ in range(REPEATS_MAX):
            answer = yield from transaction(world, self, verb, *of)
            if answer is not None:
                break
            yield 1.0
        if isinstance(answer, list):
            world.met.add(what)
            yield from self.dispatch(answer)
            if what.startswith("cancel"):
                call_for_beats(world)
        world.end(self)

    def dispatch(self, jobs: list[Job]) -> Body:
        """Put the roots on Redis, after the commit."""
        yield self.world.latency()
        self.world.redis.dispatch(jobs)

    def create(self, jobs: list[Job]) -> Body:
        """The end of a create call with ``start``."""
        yield from self.dispatch(jobs)
        self.world.end(self)

    def on_end(self) -> None:
        """Answered, or crashed."""
        self.world.calls -= 1


class Client(Owner):
    """Submits the pipeline, and asks for this and that; one who waits no longer than the pipeline takes."""

    __slots__ = ("_acts", "_cancelling_since", "_is_hurried", "_thread", "world")

    def __init__(self, world: "World", first_jobs: list[Job]) -> None:
        super().__init__("client")
        self.world = world
        self._acts = [act for act in reversed(world.scenario.acts) if act.what in CLIENT_ACTS]
        self._is_hurried = False
        self._cancelling_since: float | None = None
        call = ApiCall(world)
        world.spawn(call, call.create(first_jobs) if world.scenario.starts_at_once else call.make("start"))
        self._thread = world.spawn(self, self._live())

    def is_done(self) -> bool:
        """Whether it has asked for everything; if not, it asks now, as the pipeline has ended anyway."""
        if self._acts and not self._is_hurried:
            self._is_hurried = True
            self.world.wake(self._thread, self.world.dice() * 2)
        return not self._acts

    def _live(self) -> Body:
        world = self.world
        while self._acts:
            yield max(0.0, self._acts[-1].at - world.now)
            self._ask(self._acts.pop().what)
            self._is_hurried = False
        yield max(0.0, world.scenario.quiet_at - world.now)
        while True:
            self._care()
            yield CARES_AGAIN_S

    def _ask(self, what: str) -> None:
        call = ApiCall(self.world)
        self.world.spawn(call, call.make(what))

    def _care(self) -> None:
        """In the end somebody starts what was never started, and resumes what was left paused."""
        pipeline = self.world.db.pipeline
        if pipeline.status is PipelineStatus.CANCELLING:
            self._wait_for_cancel()
        for position, since in self.world.witness.cancelled.items():
            is_late = self.world.now > max(since, self.world.scenario.quiet_at) + CANCELS_WITHIN_S
            if is_late and pipeline.stages[position].status is StageStatus.RUNNING and self._is_heard():
                raise Violation("cancel_in_time", f"stage {position} runs, to be cancelled since {since:.0f}")
        if self.world.db.queue_paused_at is not None:
            self._ask("resume_queue")
        if pipeline.status is PipelineStatus.PENDING:
            self._ask("start")
        elif pipeline.status is PipelineStatus.PAUSED:
            if self.world.now > self.world.scenario.quiet_at + CARES_AGAIN_S and all(
                stage.status in STAGE_TERMINAL for stage in pipeline.stages
            ):
                raise Violation("liveness", "a paused pipeline without a stage to wait for has not settled")
            self._ask("resume")

    def _wait_for_cancel(self) -> None:
        if self._cancelling_since is None:
            self._cancelling_since = self.world.now
        if self._is_heard() and self.world.now - self._cancelling_since > CANCELS_WITHIN_S:
            raise Violation("cancel_in_time", f"still cancelling since {self._cancelling_since:.0f}")

    def _is_heard(self) -> bool:
        return "deaf_attempt" not in self.world.met


def call_for_beats(world: "World") -> None:
    """Published on Redis: there is something to cancel. Nobody need hear it."""
    if not world.redis.is_away():
        for worker in world.workers:
            if worker.beat_thread is not None and not world.happens("lost_hint"):
                world.wake(worker.beat_thread, world.dice() * STEP_S)


def fates(world: "World") -> Body:
    """Do what the plan says, one after the other."""
    for act in world.scenario.acts:
        if act.what not in CLIENT_ACTS:
            yield max(0.0, act.at - world.now)
            world.say(f"fate: {act.what} for {act.length:.1f} s")
            befall(world, act.what, world.now + act.length)


def befall(world: "World", what: str, until: float) -> None:
    """One planned misfortune; a settled pipeline has no more to fear."""
    if world.db.pipeline.status not in PIPELINE_TERMINAL:
        world.met.add(what)
    busy = [worker for worker in world.workers if worker.attempts] or world.workers
    worker = busy[int(world.dice() * len(busy))]
    match what:
        case "flushall":
            world.redis.flush()
        case "redis_away":
            world.redis.away_until = until
        case "outage":
            world.outage_until = until
        case "cut_off":
            worker.cut_off_until = until
        case "suspend_worker":
            worker.resumes_at = until
        case "suspend_scheduler":
            world.schedulers[int(world.dice() * len(world.schedulers))].resumes_at = until
        case _:
            worker.drain()
