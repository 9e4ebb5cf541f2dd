"""What is foreseen of a call, and the two rules that more than one verb needs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.event import EventType as E
from schemas.states import Outcome, PipelineStatus, StageStatus
from tests.properties.simulation.model.records import StagePlan
from tests.properties.simulation.witness.history import TERMINAL

P, S = PipelineStatus, StageStatus
New = tuple[E, int | None, int, Outcome | None]
"""An event as it must come: its type, stage, attempt and outcome."""


@dataclass
class Foreseen:
    """``answer`` has the fields that are foreseen, or is None like the answer; ``news`` the events by pipeline."""

    answer: dict[str, Any] | None = field(default_factory=dict)
    news: dict[int, list[New]] = field(default_factory=dict)
    refuses_data: bool = False


def of_pipeline(event: E) -> New:
    """An event of the pipeline itself."""
    return event, None, 0, None


def queued(position: int) -> New:
    """A stage is queued."""
    return E.STAGE_QUEUED, position, 0, None


def is_ready(plan: StagePlan, statuses: Sequence[StageStatus]) -> bool:
    """Whether nothing is left that a stage waits for."""
    return all(statuses[awaited] is S.COMPLETED for awaited in plan.dependencies)


def settlement(status: PipelineStatus, statuses: Sequence[StageStatus]) -> list[New]:
    """How a pipeline ends, if it does."""
    if status not in {P.RUNNING, P.PAUSED, P.CANCELLING} or not set(statuses) <= TERMINAL:
        return []
    if status is P.CANCELLING:
        return [of_pipeline(E.PIPELINE_CANCELLED)]
    went_wrong = S.FAILED in statuses or S.CANCELLED in statuses
    return [of_pipeline(E.PIPELINE_FAILED if went_wrong else E.PIPELINE_COMPLETED)]
