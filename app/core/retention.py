"""Which checkpoints to keep.

The keep set is the union of the best n, the pinned ones, the last ones of every stage that may still run or be retried
(two of them, so that there is one to fall back to when the newest is torn) and, if the rule says so, the last of every
stage. What is in doubt stays: a checkpoint in a state that is not known here, one that is being written, and everything
while nothing is known to be the best.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from schemas.checkpoint import StoredCheckpoint
from schemas.states import CheckpointState

RESUME_POINTS = 2
DELETABLE = frozenset({CheckpointState.WRITING, CheckpointState.COMPLETE, CheckpointState.INVALID})


class Rule(Struct, frozen=True, kw_only=True):
    """Keep the best ``best_n`` by a metric of which low (``min``) or high (``max``) is good."""

    best_n: int
    metric: str
    mode: Literal["min", "max"] = "min"
    keep_last: bool = False
    """Keep the last of each stage, too, when it will never run again."""

    def __str__(self) -> str:
        """The rule in words."""
        return f"best {self.best_n} by {self.metric} ({self.mode}){', and the last' if self.keep_last else ''}"


class Verdict(Struct, frozen=True, kw_only=True):
    """What becomes of some checkpoints: ``keep``, the best first, and ``delete``.

    ``undecided`` when none of those that are complete reports the metric: then nothing is newly deleted.
    """

    keep: list[StoredCheckpoint]
    delete: list[StoredCheckpoint]
    undecided: bool


def judge(found: Sequence[StoredCheckpoint], rule: Rule) -> Verdict:
    """Decide; of what was begun to be deleted, the deletion goes on in any case."""
    ranked = rank(found, rule)
    wanted = keep_set(found, ranked, rule)
    doubtful = not ranked
    delete = [
        each
        for each in found
        if each.state == CheckpointState.DELETING
        or (each.state in DELETABLE and each.id not in wanted and not doubtful)
    ]
    gone = {each.id for each in delete}
    place = {each.id: number for number, each in enumerate(ranked)}
    keep = sorted((each for each in found if each.id not in gone), key=lambda each: place.get(each.id, len(place)))
    complete = any(each.state == CheckpointState.COMPLETE for each in found)
    return Verdict(keep=keep, delete=delete, undecided=complete and doubtful)


def rank(found: Iterable[StoredCheckpoint], rule: Rule) -> list[StoredCheckpoint]:
    """The complete checkpoints that report a finite number for the metric, best first; of equals the earlier step."""
    sign = 1 if rule.mode == "min" else -1
    scored = [
        (sign * value, each.step, each.id, each)
        for each in found
        if each.state == CheckpointState.COMPLETE and (value := _score(each, rule.metric)) is not None
    ]
    return [each for *_, each in sorted(scored, key=lambda entry: entry[:3])]


def keep_set(found: Sequence[StoredCheckpoint], ranked: Sequence[StoredCheckpoint], rule: Rule) -> set[int]:
    """The ids to keep."""
    best = {each.id for each in ranked[: rule.best_n]}
    pinned = {each.id for each in found if each.pinned}
    being_written = {each.id for each in found if each.state == CheckpointState.WRITING and each.held}
    return best | pinned | being_written | _last(found, rule)


def _last(found: Sequence[StoredCheckpoint], rule: Rule) -> set[int]:
    """The resume points, and the last of each stage."""
    complete = (each for each in found if each.state == CheckpointState.COMPLETE)
    newest_first = sorted(complete, key=lambda each: (each.step, each.id), reverse=True)
    kept: dict[tuple[object, str], list[int]] = {}
    for each in newest_first:
        of_stage = kept.setdefault((each.pipeline, each.stage), [])
        if len(of_stage) < (RESUME_POINTS if each.live else int(rule.keep_last)):
            of_stage.append(each.id)
    return {number for of_stage in kept.values() for number in of_stage}


def _score(checkpoint: StoredCheckpoint, metric: str) -> float | None:
    value = checkpoint.metrics.get(metric)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
