"""The hostile world: an agenda of steps in virtual time, dice for every misfortune, and nothing else.

One seed is one schedule. Time passes only from step to step; it is the database's clock, and processes may be wrong
about it. There is no other source of chance than ``self.dice``, and nothing iterates over a set.
"""

import random
from heapq import heappop, heappush
from typing import Any

from schemas.states import PIPELINE_TERMINAL
from tests.properties.simulation.model import submit
from tests.properties.simulation.schedule import RATES, Scenario
from tests.properties.simulation.witness.violation import Violation
from tests.properties.simulation.witness.witness import Witness
from tests.properties.simulation.world.fate import Client, fates
from tests.properties.simulation.world.owner import Body, Owner, Thread
from tests.properties.simulation.world.process import Process
from tests.properties.simulation.world.redis import Redis
from tests.properties.simulation.world.scheduler import Scheduler
from tests.properties.simulation.world.worker import Worker

CALM = dict.fromkeys(RATES, 0.0)
STEP_S = 0.05
SLOW_S = 45.0


class World:
    """Everything that exists in one schedule."""

    __slots__ = (
        "_agenda",
        "_fired",
        "_first_jobs",
        "_number",
        "_suppressed",
        "calls",
        "client",
        "db",
        "dice",
        "met",
        "names",
        "network",
        "now",
        "outage_until",
        "processes",
        "rates",
        "redis",
        "releasing",
        "scenario",
        "schedulers",
        "trace",
        "witness",
        "workers",
    )

    def __init__(self, scenario: Scenario, suppressed: frozenset[int] = frozenset(), *, traced: bool = False) -> None:
        self.scenario = scenario
        self.dice = random.Random(scenario.seed).random
        self.rates = scenario.rates
        self.now = 0.0
        self.trace: list[str] | None = [] if traced else None
        self.met: set[str] = set()
        self.db, self._first_jobs = submit.create(0.0, scenario.stages, start=scenario.starts_at_once)
        self.witness = Witness(self.db, scenario.stages)
        self.redis = Redis(self)
        self.workers: list[Worker] = []
        self.schedulers: list[Scheduler] = []
        self.processes: list[list[Process]] = [[] for _ in scenario.stages]
        self.outage_until = 0.0  # of Postgres, for everybody
        self.calls = 0  # of the API, under way
        self.releasing: Scheduler | None = None
        self.names = 0
        self._agenda: list[tuple[float, int, Thread]] = []
        self._number = 0
        self._suppressed = suppressed
        self._fired = 0
        self.network = Owner("network")

    def begin(self) -> None:
        """The pipeline is submitted, the fleet starts. Raises Violation."""
        self.witness.saw("create", 0.0, (), None)
        self.client = Client(self, self._first_jobs)
        self.spawn(Owner("fate"), fates(self))
        for slots in self.scenario.slots:
            Worker(self, slots)
        for error_s in self.scenario.clocks:
            Scheduler(self, error_s)

    # ---------------------------------------------------------------------------------------------------------- time

    def spawn(self, owner: Owner, body: Body, delay: float = 0.0) -> Thread:
        """Begin to run code of ``owner``."""
        thread = Thread(owner, body)
        self.wake(thread, delay)
        return thread

    def wake(self, thread: Thread, delay: float = 0.0) -> None:
        """Let a thread go on then, and not when it wanted to."""
        self._number = thread.due = self._number + 1
        heappush(self._agenda, (self.now + delay, thread.due, thread))

    def run(self) -> None:
        """Step by step until the pipeline has ended and nobody has anything left to say. Raises Violation."""
        agenda, quiet_at, deadline = self._agenda, self.scenario.quiet_at, self.scenario.deadline
        pipeline = self.db.pipeline
        while pipeline.status not in PIPELINE_TERMINAL or not self._is_over():
            now, number, thread = heappop(agenda)
            owner = thread.owner
            if thread.due != number or owner.gone:
                continue
            if owner.resumes_at > now:
                heappush(agenda, (owner.resumes_at, number, thread))
                continue
            self.now = now
            if now >= quiet_at:
                self.rates = CALM
                if now > deadline:
                    raise Violation("liveness", f"not ended {deadline - quiet_at:g} s after the last fault")
            elif owner.crash_fault and self.dice() < self.rates[owner.crash_fault] and self._strikes(owner.crash_fault):
                self.end(owner)
                continue
            delay = next(thread.body, -1.0)
            if delay is None:
                thread.due = -1
            elif delay >= 0.0:
                self._number = thread.due = self._number + 1
                heappush(agenda, (now + delay, thread.due, thread))
        self.witness.at_the_end()

    def _is_over(self) -> bool:
        """Whether nobody has anything left to say to a pipeline that has settled."""
        if self.calls or any(worker.owes_an_outcome() for worker in self.workers):
            return False
        return self.client.is_done()

    def end(self, owner: Owner) -> None:
        """The process is gone, and with it all that it was about to do."""
        owner.gone = True
        owner.on_end()

    # ---------------------------------------------------------------------------------------------------------- dice

    def happens(self, fault: str) -> bool:
        """Roll the dice for a fault; one that is suppressed (see shrink) does not happen this time."""
        rate = self.rates[fault]
        return rate > 0.0 and self.dice() < rate and self._strikes(fault)

    def _strikes(self, fault: str) -> bool:
        self._fired += 1
        if self._fired in self._suppressed:
            return False
        self.met.add(fault)
        if self.trace is not None:
            self.say(f"fault {self._fired}: {fault}")
        return True

    @property
    def fired(self) -> int:
        """How many faults the dice have thrown so far."""
        return self._fired

    def latency(self) -> float:
        """How long a step takes: a moment, or rarely longer than a lease."""
        if self.rates["slow"] and self.happens("slow"):
            return self.dice() ** 2 * SLOW_S
        return self.dice() * STEP_S

    def new_name(self) -> int:
        """A number that nobody has had: for workers and lease tokens."""
        self.names += 1
        return self.names

    def say(self, *words: Any) -> None:
        """Write a line into the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.now:8.2f}  " + " ".join(map(str, words)))
