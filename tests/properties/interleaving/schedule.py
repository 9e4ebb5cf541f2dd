"""A schedule as plain data, drawn by hypothesis: who does what, step by step.

A step names one client. If that is free it begins the step's act, and it may stop before its COMMIT. If it has stopped
there, the step lets it commit, or die. If it waits for a lock, the step lets it wait, or die. So every schedule can be
played, and so can every part of it: hypothesis throws nothing away, and makes a failing one small by leaving steps out.
"""

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.properties.interleaving import acts, fleet
from tests.properties.interleaving.calls import WHOLE
from tests.properties.interleaving.endings import ENDINGS, FORGED, Said
from tests.properties.interleaving.numbers import Numbers
from tests.support.pipelines import CHAIN, DIAMOND, ONE, PAIR, Shape

STEPS = 36
JOIN: Shape = {"a": (), "b": (), "join": ("a", "b")}
BESIDE: Shape = {"a": (), "b": ("a",), "c": ()}
RULED: Shape = {"lint": (), "a": ("lint",), "alert": ("a",), "cleanup": ("a", "alert")}
WATCHED: Shape = {"a": (), "b": (), "alert": ("a", "b"), "cleanup": ("a", "b"), "after": ("alert",)}
SHAPES = [ONE, PAIR, BESIDE, JOIN, CHAIN, DIAMOND, RULED, WATCHED]
BATCHES = [WHOLE, WHOLE, 1, 2]
LIVES = ["beat", "lapse", "expire", "expire", "forget", "register", "draining", "stopped"]
Act = (
    acts.Creates
    | acts.Asks
    | acts.CancelsStage
    | acts.Claims
    | acts.Completes
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
    """``shapes`` are those of the pipelines that are there at the beginning."""

    clients: int
    shapes: list[Shape]
    steps: list[Step]


def _said(n: Numbers) -> Said:
    return Said(n.place(), n.one_of(ENDINGS), n.one_of(FORGED))


ACTS = {
    "claim": lambda n: acts.Claims(n.place(), n.some(n.place), old_job=n.rarely(), wait=n.often()),
    "complete": lambda n: acts.Completes(n.some(lambda: _said(n)), twice=n.rarely(), wait=n.often()),
    "release": lambda n: acts.Releases(n.some(n.place), n.one_of(BATCHES), wait=n.often()),
    "ask": lambda n: acts.Asks(n.place(), n.place()),
    "cancel stage": lambda n: acts.CancelsStage(n.place()),
    "live": lambda n: fleet.Lives(n.place(), n.one_of(LIVES)),
    "take back": lambda n: fleet.TakesBack(n.one_of(["lost", "lost", "overdue"])),
    "repeat": lambda n: acts.Repeats(n.place(), wait=n.often()),
    "create": lambda n: acts.Creates(n.one_of(SHAPES), start=n.often()),
}
OFTEN = {"claim": 4, "complete": 4, "release": 2, "ask": 2, "live": 2}
KINDS = [None, *(kind for kind in ACTS for _ in range(OFTEN.get(kind, 1)))]


def _step(kind: str, drawn: bytes) -> Step:
    n = Numbers.of(drawn)
    return Step(n.below(4), stops=n.sometimes(), dies=n.rarely(), act=ACTS[kind](n))


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Always as many steps; one without an act is left out, and that is what a step shrinks to."""
    drawn = draw(st.lists(st.tuples(st.sampled_from(KINDS), Numbers.drawn), min_size=STEPS, max_size=STEPS))
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=2, max_size=3))
    return Schedule(draw(st.integers(2, 4)), shapes, [_step(*each) for each in drawn if each[0]])
