"""What is known of one pipeline: its plan, what its events have said, and what was said to it. Nothing of its rows.

Everything else is computed anew from that whenever it is asked for.
"""

from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from schemas.event import EventType
from schemas.queue import Slot
from schemas.states import Outcome, PipelineStatus, StageStatus
from tests.properties.interleaving.calls import Ask, AskOfStage, Call, Claim, Complete, CompleteToWorker
from tests.properties.simulation.model.records import Event, StagePlan
from tests.properties.simulation.witness.history import History, StageHistory

ENDED = (EventType.STAGE_SKIPPED, EventType.STAGE_FAILED, EventType.STAGE_CANCELLED)
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
    slots: list[Slot]
    history: History = field(init=False)
    granted: dict[UUID, Grant] = field(default_factory=dict)  # by lease token
    free: set[tuple[int, int]] = field(default_factory=set)  # attempts that cost no budget
    forgiven: list[int] = field(init=False)  # attempts before the last explicit retry, by position
    untold: set[int] = field(default_factory=set)  # ended, and its dependents do not know yet
    later: set[int] = field(default_factory=set)  # retrying, and not before hours have passed
    impatient: set[int] = field(default_factory=set)  # queued, and hours have passed
    cancel_asked: set[int] = field(default_factory=set)  # its worker is to stop it

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

    def is_awaited(self, position: int) -> bool:
        """Whether something waits for a stage."""
        plans = zip(self.history.stages, self.plans, strict=True)
        return any(stage.status is S.PENDING and position in plan.dependencies for stage, plan in plans)

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

    def let_hours_pass(self) -> None:
        """No retry has to wait any more, and some stages have waited too long."""
        self.later.clear()
        self.impatient = {
            at
            for at, (stage, plan) in enumerate(zip(self.history.stages, self.plans, strict=True))
            if stage.status is S.QUEUED and plan.queue_timeout_s
        }

    def learn(self, call: Call, news: list[Event], granted: dict[UUID, UUID], *, is_followed_up: bool) -> None:
        """Take in what a committed call has done; ``granted`` are the lease tokens of what it has begun, by stage."""
        if isinstance(call, AskOfStage) and call.verb == "cancel" and not news:
            position = self.stages.index(call.stage)
            self.cancel_asked |= {position} if self.stage(position).is_open else set()
        for event in news:
            for position in event.retried:
                self.forgiven[position] = self.stage(position).attempt
                self.cancel_asked.discard(position)
            self.history.take(event)
            if event.position is not None:
                self._learn_of_stage(call, event, event.position, granted, is_followed_up=is_followed_up)

    def _learn_of_stage(
        self, call: Call, event: Event, position: int, granted: dict[UUID, UUID], *, is_followed_up: bool
    ) -> None:
        self.later.discard(position)
        self.impatient.discard(position)
        if event.type is EventType.STAGE_STARTED and isinstance(call, Claim | CompleteToWorker):
            self.granted[granted[self.stages[position]]] = Grant(position, event.attempt, call.worker)
        elif event.attempt and isinstance(call, Complete):
            self._learn_completion(call, event, position, is_followed_up=is_followed_up)
        elif event.type in ENDED and not isinstance(call, Ask):
            self._has_news(position)

    def _learn_completion(self, call: Complete, event: Event, position: int, *, is_followed_up: bool) -> None:
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
        elif not is_followed_up:
            self._has_news(position)

    def _has_news(self, position: int) -> None:
        if any(position in plan.dependencies for plan in self.plans):
            self.untold.add(position)
