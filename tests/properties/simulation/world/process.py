"""The process group of one attempt: it ends by itself, when asked to, or killed; never two of a stage at once."""

from typing import TYPE_CHECKING

from tests.properties.simulation.witness.processes import check_start

if TYPE_CHECKING:
    from tests.properties.simulation.world.attempt import RunningAttempt
    from tests.properties.simulation.world.world import World

LONGEST_S = 9.0
HANGS_S = 1_000.0
KILL_S = 0.1
GRACE_S = 10.0


class Process:
    """``ending`` is how it ended or will end: completed, failed, hopeless, or stopped."""

    __slots__ = ("_asked", "attempt", "claimed_at", "ending", "ends_at", "started_at", "world")

    def __init__(self, world: "World", attempt: "RunningAttempt") -> None:
        self.world = world
        self.attempt = attempt
        self.claimed_at = attempt.claim.started_at
        self.ends_at = world.now + world.dice() ** 2 * LONGEST_S
        self.started_at = world.now
        self.ending = "completed"
        self._asked = False
        if world.happens("hangs"):
            self.ends_at += HANGS_S
        elif world.happens("fails"):
            self.ending = "hopeless" if world.happens("hopeless") else "failed"
        check_start(world, self)
        world.processes[attempt.claim.position].append(self)

    @property
    def is_alive(self) -> bool:
        """Whether anything of the group still runs."""
        return self.world.now < self.ends_at

    def terminate(self) -> None:
        """SIGTERM: it may leave soon, having stopped or completed all the same, or not care."""
        if not self._asked and not self.world.happens("ignores_sigterm"):
            leaves_at = self.world.now + self.world.dice() * GRACE_S * 1.2
            if leaves_at < self.ends_at:
                self.ends_at = leaves_at
                self.ending = "completed" if self.world.dice() < 0.1 else "stopped"
        self._asked = True

    def kill(self, delay: float = 0.0) -> None:
        """SIGKILL to the whole group."""
        ends_at = self.world.now + delay
        if ends_at < self.ends_at:
            self.ends_at = ends_at
            self.ending = "stopped"

    @property
    def is_excused(self) -> bool:
        """A worker that was suspended could not kill it in time, and nobody can help that; the fence covers it."""
        attempt = self.attempt
        return attempt.worker.resumes_at >= self.claimed_at or attempt.is_deaf
