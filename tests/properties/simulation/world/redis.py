"""Redis, and everything that can go wrong with it. It holds nothing that Postgres does not know better."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tests.properties.simulation.model.records import Job
from tests.properties.simulation.world.owner import Thread

if TYPE_CHECKING:
    from tests.properties.simulation.world.world import World

IN_FLIGHT_S = 10.0
STEP_S = 0.05


class Redis:
    """The queue, what is in flight, and who waits for work."""

    __slots__ = ("away_until", "in_flight", "is_complete", "queue", "waiting", "world")

    def __init__(self, world: "World") -> None:
        self.world = world
        self.queue: list[Job] = []
        self.in_flight: dict[Job, float] = {}
        self.is_complete = True  # the epoch key: nothing was lost since the last full dispatch
        self.waiting: list[Thread] = []
        self.away_until = 0.0

    def is_away(self) -> bool:
        """Whether calls fail just now; all of them may be lost without harm."""
        return self.world.now < self.away_until

    def dispatch(self, jobs: Iterable[Job]) -> None:
        """``enqueue.lua``: put jobs on the queue, as often as you like; one in flight is left alone."""
        for job in jobs:
            if not self.is_away() and job not in self.in_flight and not self.world.happens("lost_job"):
                self._add(job)

    def _add(self, job: Job) -> None:
        if job not in self.queue:
            self.queue.append(job)
        if self.waiting and not self.world.happens("lost_wake"):
            self.world.wake(self.waiting.pop(0), self.world.dice() * STEP_S)

    def pop(self) -> Job | None:
        """``claim.lua``: the first job, or any; it stays in flight until Postgres has answered for it."""
        if not self.queue or self.is_away():
            return None
        world = self.world
        place = int(world.dice() * len(self.queue)) if world.happens("shuffled") else 0
        job = self.queue[place] if world.happens("doubled_job") else self.queue.pop(place)
        self.in_flight[job] = world.now + IN_FLIGHT_S
        return job

    def settle(self, job: Job) -> None:
        """Postgres has answered for this job."""
        if not self.is_away():
            self.in_flight.pop(job, None)

    def put_back(self, job: Job) -> None:
        """Return a job to the queue, if it is still known to be in flight."""
        if not self.is_away() and self.in_flight.pop(job, None) is not None:
            self._add(job)

    def put_back_stale(self) -> None:
        """``put_back.lua``: return the jobs whose worker died between pop and claim."""
        if self.in_flight:
            for job in [job for job, due in self.in_flight.items() if due <= self.world.now]:
                self.put_back(job)

    def flush(self) -> None:
        """FLUSHALL."""
        self.queue.clear()
        self.in_flight.clear()
        self.is_complete = False
