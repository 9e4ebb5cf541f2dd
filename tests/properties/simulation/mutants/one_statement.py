"""Defects of a transaction that acts in the statement that waits for the lock, on what it saw before it had it."""

from typing import Any, NamedTuple

from schemas.states import STAGE_TERMINAL
from tests.properties.simulation.model import journal, release
from tests.properties.simulation.model.records import Pipeline, Stage
from tests.properties.simulation.mutants.planting import Patch, mutant
from tests.properties.simulation.world import postgres


class Seen(NamedTuple):
    """What such a transaction still believes after it has waited."""

    last_seq: int
    untold: tuple[int, ...]
    ended: tuple[bool, ...]


def _see(pipeline: Pipeline) -> Seen:
    stages = pipeline.stages
    untold = (s.position for s in stages if s.status in STAGE_TERMINAL and not s.propagated)
    return Seen(pipeline.last_seq, tuple(untold), tuple(s.status in STAGE_TERMINAL for s in stages))


SEES_EARLY = Patch(postgres, "before_lock", _see)


def _seen(pipeline: Pipeline) -> Any:
    return pipeline.seen or _see(pipeline)


def _take_what_was_seen(pipeline: Pipeline, _batch: int) -> list[Stage]:
    ended = [pipeline.stages[position] for position in _seen(pipeline).untold]
    pipeline.seen = None
    for stage in ended:
        stage.propagated = True
    return ended


def _siblings_were_seen_done(pipeline: Pipeline, stage: Stage) -> bool:
    ended = _seen(pipeline).ended
    return all(ended[awaited] for awaited in stage.dependencies)


def _number_that_was_seen(pipeline: Pipeline) -> int:
    seen, pipeline.seen = _seen(pipeline), None
    return seen.last_seq


ALL = (
    mutant(
        "events_numbered_outside_the_lock",
        "the last number is read before the lock is held",
        journal,
        "last_seq",
        _number_that_was_seen,
        SEES_EARLY,
    ),
    mutant(
        "one_statement_release",
        "release acts on the ended stages that it saw before it had the lock",
        release,
        "take_ended",
        _take_what_was_seen,
        SEES_EARLY,
    ),
    mutant(
        "one_statement_siblings",
        "release believes the siblings' status from before it had the lock",
        release,
        "waits_for_nothing",
        _siblings_were_seen_done,
        SEES_EARLY,
    ),
)
