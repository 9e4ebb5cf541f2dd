"""A schedule as plain data, drawn by hypothesis: who does what, step by step.

A step names one client. If that is free it begins the step's act, and it may stop before its COMMIT. If it has stopped
there, the step lets it commit, or die. If it waits for a lock, the step lets it wait, or die. So every schedule can be
played, and so can every part of it: hypothesis throws nothing away, and makes a failing one small by leaving steps out.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from schemas.queue import QUEUES_BY_PRIORITY, Queue
from schemas.stage import Serves
from tests.properties.interleaving import acts, asking, fleet
from tests.properties.interleaving.calls import WHOLE
from tests.properties.interleaving.endings import ENDINGS, FORGED, Said
from tests.properties.interleaving.kinds import KINDS
from tests.properties.interleaving.numbers import Numbers

STEPS = 36
BATCHES = [WHOLE, WHOLE, 1, 2]
SERVED = [(QUEUES_BY_PRIORITY, "noop")] * 6 + [((Queue.TRAINING,), "noop"), (QUEUES_BY_PRIORITY, "train_model")]
LIVES = ["beat", "lapse", "expire", "expire", "forget", "register", "draining", "stopped"]
Act = (
    asking.Creates
    | asking.Asks
    | asking.AsksOfStage
    | asking.Purges
    | asking.Waits
    | asking.TurnsQueue
    | acts.Claims
    | acts.Completes
    | acts.FollowsUp
    | acts.Releases
    | acts.Repeats
    | fleet.Lives
    | fleet.TakesBack
)


@dataclass(frozen=True)
class Step:
    """One step of a schedule."""

    client: int
    stops: bool
    dies: bool
    act: Act


@dataclass(frozen=True)
class Schedule:
    """``pipelines`` are the kinds of those that are there at the beginning."""

    clients: int
    pipelines: list[str]
    steps: list[Step]


def _said(n: Numbers) -> Said:
    return Said(n.place(), n.one_of(ENDINGS), n.one_of(FORGED))


def _said_well(n: Numbers) -> Said:
    return Said(n.place(), n.one_of(["completes", *ENDINGS]) if n.sometimes() else "completes", n.one_of(FORGED))


def _few(n: Numbers, choose: Callable[[], Said]) -> list[Said]:
    return n.some(choose) if n.sometimes() else [choose()]


def _serves(n: Numbers) -> Serves:
    queues, task = n.one_of(SERVED)
    return Serves(list(queues), [task], n.below(3), n.below(3))


ACTS = {
    "claim": lambda n: acts.Claims(n.place(), n.some(n.place), old_job=n.rarely(), wait=n.often()),
    "complete": lambda n: acts.Completes(n.some(lambda: _said(n)), twice=n.rarely(), wait=n.often()),
    "follow up": lambda n: acts.FollowsUp(_few(n, lambda: _said_well(n)), n.place(), _serves(n)),
    "release": lambda n: acts.Releases(n.some(n.place), n.one_of(BATCHES), wait=n.often()),
    "ask": lambda n: asking.Asks(n.place(), n.place()),
    "live": lambda n: fleet.Lives(n.place(), n.one_of(LIVES)),
    "take back": lambda n: fleet.TakesBack(n.one_of(["lost", "lost", "overdue"])),
    "repeat": lambda n: acts.Repeats(n.place(), wait=n.often()),
    "create": lambda n: asking.Creates(n.one_of([*KINDS]), start=n.often()),
    "ask of stage": lambda n: asking.AsksOfStage(n.place(), n.one_of(["cancel", "retry"])),
    "purge": lambda n: asking.Purges(n.some(n.place), wait=n.often()),
    "wait": lambda n: asking.Waits(n.place()),
    "turn queue": lambda _n: asking.TurnsQueue(),
}
OFTEN = {
    "claim": 8,
    "complete": 6,
    "follow up": 6,
    "release": 5,
    "ask": 4,
    "live": 4,
    "take back": 2,
    "repeat": 2,
    "create": 2,
    "ask of stage": 2,
}
CHOICES = [None, *(name for name in ACTS for _ in range(OFTEN.get(name, 1)))]


def _step(kind: str, drawn: bytes) -> Step:
    n = Numbers.of(drawn)
    return Step(n.below(4), stops=n.sometimes(), dies=n.rarely(), act=ACTS[kind](n))


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Always as many steps; one without an act is left out, and that is what a step shrinks to."""
    drawn = draw(st.lists(st.tuples(st.sampled_from(CHOICES), Numbers.drawn), min_size=STEPS, max_size=STEPS))
    kinds = draw(st.lists(st.sampled_from([*KINDS]), min_size=2, max_size=3))
    return Schedule(draw(st.integers(2, 4)), kinds, [_step(*each) for each in drawn if each[0]])
