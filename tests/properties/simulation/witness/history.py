"""The history as a client could replay it from the events alone, and what must never be in it.

Nothing here looks at the grammar of ``app.core.transitions`` or at the rows: the rules are spelled a second time, so
that a mistake in the one is seen by the other.
"""

from schemas.event import EventType as E
from schemas.states import Outcome, PipelineStatus, StageStatus, TriggerRule
from tests.properties.simulation.model.records import Event, StagePlan
from tests.properties.simulation.witness.violation import Violation

P, S = PipelineStatus, StageStatus

PIPELINE_TOLD = {
    E.PIPELINE_CREATED: ((None,), P.PENDING),
    E.PIPELINE_STARTED: ((P.PENDING, P.FAILED, P.CANCELLED), P.RUNNING),
    E.PIPELINE_PAUSED: ((P.RUNNING,), P.PAUSED),
    E.PIPELINE_RESUMED: ((P.PAUSED,), P.RUNNING),
    E.PIPELINE_CANCELLING: ((P.PENDING, P.RUNNING, P.PAUSED), P.CANCELLING),
    E.PIPELINE_COMPLETED: ((P.RUNNING, P.PAUSED), P.COMPLETED),
    E.PIPELINE_FAILED: ((P.RUNNING, P.PAUSED), P.FAILED),
    E.PIPELINE_CANCELLED: ((P.CANCELLING,), P.CANCELLED),
}
STAGE_TOLD = {
    E.STAGE_QUEUED: ((S.PENDING, S.RETRYING), S.QUEUED),
    E.STAGE_STARTED: ((S.QUEUED,), S.RUNNING),
    E.STAGE_RETRYING: ((S.RUNNING,), S.RETRYING),
    E.STAGE_COMPLETED: ((S.RUNNING,), S.COMPLETED),
    E.STAGE_FAILED: ((S.RUNNING, S.QUEUED, S.RETRYING), S.FAILED),
    E.STAGE_SKIPPED: ((S.PENDING,), S.SKIPPED),
    E.STAGE_CANCELLED: ((S.PENDING, S.QUEUED, S.RETRYING, S.RUNNING), S.CANCELLED),
}
OUT_OF_TURN = {  # where a plainer rule than the grammar was broken
    (E.STAGE_QUEUED, S.QUEUED): "released_once",
    (E.STAGE_STARTED, S.RUNNING): "one_holder",
}
ENDED_BADLY = frozenset({S.FAILED, S.SKIPPED, S.CANCELLED})
TERMINAL = ENDED_BADLY | {S.COMPLETED}
SETTLES = frozenset({E.PIPELINE_COMPLETED, E.PIPELINE_FAILED, E.PIPELINE_CANCELLED})
GOING_ON = (P.RUNNING, P.PAUSED)


class StageHistory:
    """What the events have said of one stage. A generation begins with the pipeline, and with each explicit retry."""

    __slots__ = ("attempt", "is_open", "outcomes", "plan", "queued", "released", "status")

    def __init__(self, plan: StagePlan) -> None:
        self.plan = plan
        self.status = S.PENDING
        self.attempt = 0
        self.is_open = False
        self.outcomes: list[Outcome | None] = []
        self.queued = 0  # times, ever
        self.released = 0  # times in this generation

    @property
    def went_well(self) -> bool:
        """Whether those that wait for its completion may go on."""
        return self.status is S.COMPLETED or (self.plan.allow_failure and self.status in (S.FAILED, S.CANCELLED))

    @property
    def went_wrong(self) -> bool:
        """Whether those that wait for a failure are needed."""
        in_vain = self.status is S.SKIPPED and self.plan.trigger_rule is not TriggerRule.ANY_FAILED
        return self.status in (S.FAILED, S.CANCELLED) or in_vain


class History:
    """Takes one event after the other; raises Violation at the first that must not be."""

    __slots__ = ("seq", "stages", "status")

    def __init__(self, plans: list[StagePlan]) -> None:
        self.seq = 0
        self.status: PipelineStatus | None = None
        self.stages = [StageHistory(plan) for plan in plans]

    def take(self, event: Event) -> None:
        """Replay one event."""
        self.seq += 1
        if event.seq != self.seq:
            raise Violation("events_gapless", f"event number {event.seq} came where {self.seq} was due")
        if event.position is None:
            self._take_pipeline(event)
        else:
            self._take_stage(event, self.stages[event.position])

    def _take_pipeline(self, event: Event) -> None:
        before, after = PIPELINE_TOLD[event.type]
        if self.status not in before:
            raise Violation("grammar", f"{event.type} while the pipeline is {self.status}")
        if event.type in SETTLES:
            self._check_settled(event)
        elif event.type is E.PIPELINE_STARTED and self.status is not P.PENDING:
            self._begin_generation(event.retried)
        self.status = after

    def _check_settled(self, event: Event) -> None:
        present = {stage.status for stage in self.stages}
        if not present <= TERMINAL:
            raise Violation("settle_rule", f"{event.type} with stages that are {sorted(present - TERMINAL)}")
        if self.status in GOING_ON:
            broken = any(each.status in (S.FAILED, S.CANCELLED) and not each.plan.allow_failure for each in self.stages)
            if broken is not (event.type is E.PIPELINE_FAILED):
                raise Violation("settle_rule", f"{event.type} with stages that are {sorted(present)}")
            self._check_skips()

    def _check_skips(self) -> None:
        for position, stage in enumerate(self.stages):
            in_vain = not self.may_begin(stage)
            was_stopped = stage.status is S.CANCELLED and not stage.released
            if not was_stopped and in_vain is not (stage.status is S.SKIPPED):
                raise Violation("skip_rule", f"stage {position} ended as {stage.status}, waiting in vain: {in_vain}")

    def may_begin(self, stage: StageHistory) -> bool:
        """Whether its trigger rule is met by how its dependencies are now."""
        awaited = [self.stages[position] for position in stage.plan.dependencies]
        match stage.plan.trigger_rule:
            case TriggerRule.ALL_COMPLETED:
                return all(each.went_well for each in awaited)
            case TriggerRule.ALL_DONE:
                return all(each.status in TERMINAL for each in awaited)
            case _:
                return all(each.status in TERMINAL for each in awaited) and any(each.went_wrong for each in awaited)

    def _begin_generation(self, retried: tuple[int, ...]) -> None:
        for position, stage in enumerate(self.stages):
            again = stage.status in (S.FAILED, S.CANCELLED) or bool(set(stage.plan.dependencies) & set(retried))
            if position in retried:
                if not again:
                    raise Violation("retry_rule", f"stage {position} begins again, being {stage.status} for good")
                stage.status = S.PENDING
                stage.released = 0
            elif set(stage.plan.dependencies) & set(retried):
                raise Violation("retry_rule", f"stage {position} is kept, though what it waited for begins again")

    def _take_stage(self, event: Event, stage: StageHistory) -> None:
        before, after = STAGE_TOLD[event.type]
        if stage.status not in before:
            rule = OUT_OF_TURN.get((event.type, stage.status), "grammar")
            raise Violation(rule, f"{event.type} of stage {event.position}, which is {stage.status}")
        if event.type is E.STAGE_QUEUED:
            self._check_queued(event, stage)
        elif event.type is E.STAGE_STARTED:
            self._check_started(event, stage)
        elif event.type is E.STAGE_SKIPPED:
            self._check_skipped(event, stage)
        elif stage.status is S.RUNNING:
            _close(event, stage)
        elif event.type is E.STAGE_FAILED and self.status is not P.RUNNING:
            raise Violation("pause_holds", f"stage {event.position} given up, its pipeline {self.status}")
        stage.status = after

    def _check_queued(self, event: Event, stage: StageHistory) -> None:
        if self.status not in GOING_ON:
            raise Violation("nothing_after_cancel", f"stage {event.position} queued, its pipeline {self.status}")
        stage.queued += 1
        if stage.status is S.PENDING:
            stage.released += 1
            if stage.released > 1:
                raise Violation("released_once", f"stage {event.position} released twice")
            if not self.may_begin(stage):
                raise Violation("released_iff_ready", f"stage {event.position} released before its dependencies")

    def _check_started(self, event: Event, stage: StageHistory) -> None:
        if self.status is not P.RUNNING:
            rule = "pause_holds" if self.status is P.PAUSED else "nothing_after_cancel"
            raise Violation(rule, f"stage {event.position} started, its pipeline {self.status}")
        if event.attempt != stage.attempt + 1:
            raise Violation(
                "attempts_counted", f"attempt {event.attempt} of stage {event.position} after {stage.attempt}"
            )
        stage.attempt = event.attempt
        stage.is_open = True
        stage.outcomes.append(None)

    def _check_skipped(self, event: Event, stage: StageHistory) -> None:
        if self.status not in GOING_ON:
            raise Violation("skip_rule", f"stage {event.position} skipped, its pipeline {self.status}")
        awaited = [self.stages[position] for position in stage.plan.dependencies]
        if stage.plan.trigger_rule is TriggerRule.ALL_COMPLETED:
            in_vain = any(each.status in ENDED_BADLY and not each.went_well for each in awaited)
        else:
            in_vain = all(each.status in TERMINAL for each in awaited) and not self.may_begin(stage)
        if not in_vain:
            raise Violation("skip_rule", f"stage {event.position} skipped, though nothing before it went wrong")


def _close(event: Event, stage: StageHistory) -> None:
    if not stage.is_open or event.attempt != stage.attempt:
        raise Violation(
            "one_outcome", f"attempt {event.attempt} of stage {event.position} ended, newest {stage.attempt}"
        )
    stage.is_open = False
    stage.outcomes[-1] = event.outcome
