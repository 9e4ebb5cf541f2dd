"""What is foreseen of a call, and the two rules that more than one verb needs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.event import EventType as E
from schemas.states import Outcome, PipelineStatus, StageStatus
from schemas.states import TriggerRule as Rule
from tests.properties.simulation.model.records import StagePlan
from tests.properties.simulation.witness.history import TERMINAL

P, S = PipelineStatus, StageStatus
WENT_WRONG = (S.FAILED, S.CANCELLED)
New = tuple[E, int | None, int, Outcome | None, tuple[int, ...]]
"""An event as it must come: its type, stage, attempt and outcome, and the stages that begin again."""


@dataclass
class Foreseen:
    """``answer`` has the fields that are foreseen, or is None like the answer; ``news`` the events by pipeline."""

    answer: dict[str, Any] | None = field(default_factory=dict)
    news: dict[int, list[New]] = field(default_factory=dict)
    refuses_data: bool = False
    is_held_back: bool = False  # its queue was paused
    is_followed_up: bool = False  # a completion tells the dependents too


def of_pipeline(event: E, retried: Iterable[int] = ()) -> New:
    """An event of the pipeline itself."""
    return event, None, 0, None, tuple(sorted(retried))


def of_stage(event: E, position: int, attempt: int = 0, outcome: Outcome | None = None) -> New:
    """An event of a stage."""
    return event, position, attempt, outcome, ()


def went_well(plan: StagePlan, status: StageStatus) -> bool:
    """Whether what waits for its completion may go on."""
    return status is S.COMPLETED or (plan.allow_failure and status in WENT_WRONG)


def went_wrong(plan: StagePlan, status: StageStatus) -> bool:
    """Whether what waits for a failure is needed."""
    return status in WENT_WRONG or (status is S.SKIPPED and plan.trigger_rule is not Rule.ANY_FAILED)


def verdict(plans: Sequence[StagePlan], at: int, statuses: Sequence[StageStatus]) -> StageStatus:
    """What becomes of a pending stage while these are the statuses: it is queued, is skipped, or stays as it is."""
    awaited = [(plans[place], statuses[place]) for place in plans[at].dependencies]
    ended = [each for each in awaited if each[1] in TERMINAL]
    rule, all_ended = plans[at].trigger_rule, len(ended) == len(awaited)
    if rule is Rule.ALL_COMPLETED and not all(went_well(*each) for each in ended):
        return S.SKIPPED
    if rule is Rule.ANY_FAILED and all_ended and not any(went_wrong(*each) for each in ended):
        return S.SKIPPED
    return S.QUEUED if all_ended else S.PENDING


def advance(plans: Sequence[StagePlan], statuses: list[StageStatus]) -> list[New]:
    """Let every pending stage have what is due to it; a stage comes after those that it waits for."""
    news: list[New] = []
    for at in range(len(plans)):
        if statuses[at] is S.PENDING:
            statuses[at] = verdict(plans, at, statuses)
            if statuses[at] is S.QUEUED:
                news.append(of_stage(E.STAGE_QUEUED, at))
            elif statuses[at] is S.SKIPPED:
                news.append(of_stage(E.STAGE_SKIPPED, at))
    return news


def settlement(status: PipelineStatus, statuses: Sequence[StageStatus], plans: Sequence[StagePlan]) -> list[New]:
    """How a pipeline ends, if it does."""
    if status not in {P.RUNNING, P.PAUSED, P.CANCELLING} or not set(statuses) <= TERMINAL:
        return []
    if status is P.CANCELLING:
        return [of_pipeline(E.PIPELINE_CANCELLED)]
    pairs = zip(plans, statuses, strict=True)
    is_broken = any(each in WENT_WRONG and not plan.allow_failure for plan, each in pairs)
    return [of_pipeline(E.PIPELINE_FAILED if is_broken else E.PIPELINE_COMPLETED)]
