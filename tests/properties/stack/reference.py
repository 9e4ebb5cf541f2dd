"""How a story must go, in the plainest words: no queues, no workers, no time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from schemas.states import PIPELINE_TERMINAL, STAGE_TERMINAL, PipelineStatus, StageStatus, TriggerRule
from tests.properties.stack.plans import Act, Part

P, S = PipelineStatus, StageStatus
WENT_WRONG = {S.FAILED, S.CANCELLED}


@dataclass
class Reference:
    """A pipeline at rest: whatever can happen without another call has happened."""

    parts: Sequence[Part]
    status: PipelineStatus = P.RUNNING
    stages: list[StageStatus] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stages = [S.PENDING] * len(self.parts)
        self.attempts = [0] * len(self.parts)
        self._come_to_rest()

    def do(self, act: Act) -> bool:
        """Whether the call is accepted; if so, what follows from it has followed."""
        accepted = getattr(self, f"_{act.verb}")(act.place)
        if accepted:
            self._come_to_rest()
        return accepted

    def _pause(self, _: int) -> bool:
        return self._turn(P.RUNNING, P.PAUSED)

    def _resume(self, _: int) -> bool:
        return self._turn(P.PAUSED, P.RUNNING)

    def _turn(self, fitting: PipelineStatus, then: PipelineStatus) -> bool:
        fits = self.status is fitting
        self.status = then if fits else self.status
        return fits

    def _cancel(self, _: int) -> bool:
        if self.status in PIPELINE_TERMINAL:
            return False
        self.status = P.CANCELLED
        self.stages = [status if status in STAGE_TERMINAL else S.CANCELLED for status in self.stages]
        return True

    def _cancel_stage(self, place: int) -> bool:
        if self.stages[place] in STAGE_TERMINAL:
            return False
        self.stages[place] = S.CANCELLED
        return True

    def _retry(self, _: int) -> bool:
        return self._begin_again({at for at, status in enumerate(self.stages) if status in WENT_WRONG})

    def _retry_stage(self, place: int) -> bool:
        return self.stages[place] in WENT_WRONG and self._begin_again({place})

    def _begin_again(self, chosen: set[int]) -> bool:
        if self.status not in {P.FAILED, P.CANCELLED}:
            return False
        for at, part in enumerate(self.parts):
            if chosen & part.needs:
                chosen.add(at)
        for at in chosen:
            self.stages[at] = S.PENDING
        self.status = P.RUNNING
        return True

    def _come_to_rest(self) -> None:
        """A stage stands behind those that it waits for, so one pass is enough."""
        if self.status in PIPELINE_TERMINAL:
            return
        for at in range(len(self.parts)):
            if self.stages[at] is S.PENDING:
                self.stages[at] = self._verdict(self.parts[at])
            if self.stages[at] is S.QUEUED and self.status is P.RUNNING:
                self.stages[at] = self._run(at)
        if STAGE_TERMINAL.issuperset(self.stages):
            broken = any(status in WENT_WRONG and not part.allow_failure for part, status in self._all())
            self.status = P.FAILED if broken else P.COMPLETED

    def _verdict(self, part: Part) -> StageStatus:
        awaited = [(self.parts[place], self.stages[place]) for place in part.needs]
        ended = [each for each in awaited if each[1] in STAGE_TERMINAL]
        if part.rule is TriggerRule.ALL_COMPLETED and not all(_went_well(*each) for each in ended):
            return S.SKIPPED
        if len(ended) < len(awaited):
            return S.PENDING
        if part.rule is TriggerRule.ANY_FAILED and not any(_went_wrong(*each) for each in ended):
            return S.SKIPPED
        return S.QUEUED

    def _run(self, at: int) -> StageStatus:
        part = self.parts[at]
        for _ in range(1 + part.max_retries):
            self.attempts[at] += 1
            if self.attempts[at] <= part.holds:
                return S.RUNNING
            if self.attempts[at] > part.fails:
                return S.COMPLETED
            if part.is_final:
                break
        return S.FAILED

    def _all(self) -> Iterator[tuple[Part, StageStatus]]:
        return zip(self.parts, self.stages, strict=True)


def _went_well(part: Part, status: StageStatus) -> bool:
    return status is S.COMPLETED or (part.allow_failure and status in WENT_WRONG)


def _went_wrong(part: Part, status: StageStatus) -> bool:
    return status in WENT_WRONG or (status is S.SKIPPED and part.rule is not TriggerRule.ANY_FAILED)
