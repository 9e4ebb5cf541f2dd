"""Random pipelines, and what people do to them."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from schemas.states import TriggerRule

STAGES_MAX = 30
ACTS_MAX = 5


@dataclass(frozen=True)
class Part:
    """A stage, which waits for earlier ones; what it does is told in ``tests/support/plug_ins/parts.py``."""

    needs: frozenset[int] = frozenset()
    rule: TriggerRule = TriggerRule.ALL_COMPLETED
    allow_failure: bool = False
    max_retries: int = 0
    holds: int = 0
    fails: int = 0
    is_final: bool = False


@dataclass(frozen=True)
class Act:
    """A call. ``place`` is a stage, where it is about one; a hasty one does not wait until all has come to rest."""

    verb: str
    place: int = 0


@dataclass(frozen=True)
class Story:
    """A pipeline and the calls that it gets, each when all that can happen has happened."""

    parts: tuple[Part, ...]
    acts: tuple[Act, ...] = field(default=())

    def spec(self) -> dict[str, Any]:
        """The body of its create call."""
        return {"name": "story", "stages": [_stage(at, part) for at, part in enumerate(self.parts)]}


def name(place: int) -> str:
    """What a stage is called."""
    return f"s{place}"


def _stage(at: int, part: Part) -> dict[str, Any]:
    return {
        "name": name(at),
        "task": "play_part",
        "params": {"holds": part.holds, "fails": part.fails, "is_final": part.is_final},
        "depends_on": [name(place) for place in sorted(part.needs)],
        "trigger_rule": part.rule,
        "allow_failure": part.allow_failure,
        "max_retries": part.max_retries,
        "retry_delay": 0,
    }


VERBS = ("pause", "resume", "cancel", "cancel_stage", "retry", "retry", "retry_stage")


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Up to 30 stages; about every third does not simply complete."""
    count = draw(st.integers(1, STAGES_MAX))
    parts = tuple(draw(_parts(at)) for at in range(count))
    held = [at for at, part in enumerate(parts) if part.holds]  # the only ones that can be met while they run
    places = st.integers(0, count - 1) | (st.sampled_from(held) if held else st.nothing())
    acts = st.builds(Act, st.sampled_from(VERBS), places)
    return Story(parts, tuple(draw(st.lists(acts, max_size=ACTS_MAX))))


@st.composite
def _parts(draw: st.DrawFn, at: int) -> Part:
    needs = draw(st.frozensets(st.integers(max(0, at - 8), at - 1), max_size=3)) if at else frozenset()
    rules = [*[TriggerRule.ALL_COMPLETED] * 4, TriggerRule.ALL_DONE, TriggerRule.ANY_FAILED]
    return Part(
        needs,
        rule=draw(st.sampled_from(rules)) if needs else TriggerRule.ALL_COMPLETED,
        allow_failure=draw(st.sampled_from([False, False, False, True])),
        max_retries=draw(st.integers(0, 2)),
        holds=draw(st.sampled_from([*[0] * 5, 1])),
        fails=draw(st.sampled_from([*[0] * 5, 1, 2, 4])),
        is_final=draw(st.sampled_from([False, False, True])),
    )
