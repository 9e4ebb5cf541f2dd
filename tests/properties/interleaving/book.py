"""What is known of one pipeline: its plan, what its events have said, and what was said to it. Nothing of its rows.

Everything else is computed anew from that whenever it is asked for.
"""

from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from schemas.event import EventType
from schemas.states import Outcome, PipelineStatus, StageStatus
from tests.properties.interleaving.calls import Ask, Call, CancelStage, Claim, Complete
from tests.properties.simulation.model.records import Event, StagePlan
from tests.properties.simulation.witness.history import History, StageHistory

OWN_ERRORS = (Outcome.FAILED, Outcome.TIMED_OUT)
P, S = PipelineStatus, StageStatus


class Grant(NamedTuple):
    """An attempt that was begun, and by whom."""

    position: int
    attempt: int
    worker: UUID


NOBODY = Grant(-1, 0, UUID(int=0))


@dataclass(eq=False)
class Book:
    """Of one pipeline that is committed."""

    id: int
    uuid: UUID
    stages: list[UUID]
    plans: list[StagePlan]
    history: History = field(init=False)
    granted: dict[UUID, Grant] = field(default_factory=dict)  # by lease token
    free: set[tuple[int, int]] = field(default_factory=set)  # attempts that cost no budget
    forgiven: list[int] = field(init=False)  # attempts before the last explicit retry, by position
    untold: set[int] = field(default_factory=set)  # ended, and its dependents do not know yet
    later: set[int] = field(default_factory=set)  # retrying, and not before hours have passed
    to_be_cancelled: set[int] = field(default_factory=set)  # running, until their workers have heard of it

    def __post_init__(self) -> None:
        self.history = History(self.plans)
        self.forgiven = [0] * len(self.plans)

    @property
    def status(self) -> PipelineStatus:
        """How it is."""
        return self.history.status or P.PENDING

    def stage(self, position: int) -> StageHistory:
        """What its events have said of a stage."""
        return self.history.stages[position]

    def statuses(self) -> list[StageStatus]:
        """How its stages are."""
        return [stage.status for stage in self.history.stages]

    def holder(self, position: int) -> UUID | None:
        """The lease token under which a stage runs."""
        newest = (position, self.stage(position).attempt)
        tokens = [token for token, grant in self.granted.items() if grant[:2] == newest]
        return tokens[0] if tokens and self.stage(position).is_open else None

    def worker(self, position: int) -> UUID | None:
        """Who runs a stage."""
        token = self.holder(position)
        return self.granted[token].worker if token else None

    def failures(self, position: int) -> int:
        """Errors of its own since its budget was granted."""
        return sum(outcome in OWN_ERRORS and is_charged for outcome, is_charged in self._since_retry(position))

    def losses(self, position: int) -> int:
        """Attempts lost in a row; a drain in between neither counts nor ends the row."""
        losses = 0
        for outcome, is_charged in self._since_retry(position):
            losses = losses + 1 if outcome is Outcome.LOST else 0 if is_charged else losses
        return losses

    def _since_retry(self, position: int) -> list[tuple[Outcome | None, bool]]:
        numbered = enumerate(self.stage(position).outcomes, 1)
        closed = [(number, outcome) for number, outcome in numbered if outcome and number > self.forgiven[position]]
        return [(outcome, (position, number) not in self.free) for number, outcome in closed]

    def outcome(self, position: int, attempt: int, lease_token: UUID) -> Outcome | None:
        """How an attempt ended, if it ended, and if this was its token."""
        begun = self.granted.get(lease_token, NOBODY)[:2] == (position, attempt)
        return self.stage(position).outcomes[attempt - 1] if begun else None

    def learn(self, call: Call, news: list[Event]) -> None:
        """Take in what a committed call has done."""
        if isinstance(call, CancelStage):
            position = self.stages.index(call.stage)
            self.to_be_cancelled.update({position} if self.stage(position).is_open else ())
        for event in news:
            if event.type is EventType.PIPELINE_STARTED and self.status is not P.PENDING:
                self.forgiven = [stage.attempt for stage in self.history.stages]
                self.untold.clear()
                self.to_be_cancelled.clear()
            self.history.take(event)
            if event.position is not None:
                self._learn_of_stage(call, event, event.position)
        began = any(event.type is EventType.PIPELINE_STARTED for event in news)
        if began and isinstance(call, Ask) and call.verb == "retry":
            self.untold.clear()  # it tells everybody itself

    def _learn_of_stage(self, call: Call, event: Event, position: int) -> None:
        self.later.discard(position)
        if isinstance(call, Claim):
            token = next(r.lease_token for r in call.requests if r.stage == self.stages[position])
            self.granted[token] = Grant(position, event.attempt, call.worker)
        elif isinstance(call, Complete):
            self._learn_completion(call, event, position)
        elif event.type is EventType.STAGE_SKIPPED or isinstance(call, CancelStage):
            self._has_news(position)

    def _learn_completion(self, call: Complete, event: Event, position: int) -> None:
        ended = (position, event.attempt)
        said = next(
            each
            for each in call.completions
            if each.attempt == event.attempt and self.granted.get(each.lease_token, NOBODY)[:2] == ended
        )
        if not said.costs_retry:
            self.free.add((position, event.attempt))
        if event.type is EventType.STAGE_RETRYING:
            self.later.update({position} if said.retry_delay_s else ())
        else:
            self._has_news(position)

    def _has_news(self, position: int) -> None:
        if any(position in plan.dependencies for plan in self.plans):
            self.untold.add(position)
