"""Defects of release, settle, cancel and retry: what SQL would do without one of its conditions or statements."""

from typing import Any

from app.core.transitions import PipelineEvent
from schemas.event import EventType
from schemas.states import STAGE_TERMINAL, PipelineStatus, StageStatus
from tests.properties.simulation.model import control, journal, release, submit
from tests.properties.simulation.model.records import Pipeline, Stage
from tests.properties.simulation.mutants.planting import mutant

GOING_ON = (PipelineStatus.RUNNING, PipelineStatus.PAUSED)
_skip, _ending, _news = release.skip_dependents, journal.ending, submit.queued_news


def _take_and_forget(pipeline: Pipeline, batch: int) -> list[Stage]:
    return [stage for stage in pipeline.stages if stage.status in STAGE_TERMINAL and not stage.propagated][:batch]


def _skip_and_stop(pipeline: Pipeline, broken: list[Stage]) -> list[Stage]:
    skipped = _skip(pipeline, broken)
    for stage in skipped:
        stage.propagated = True
    return skipped


def _skip_everybody(pipeline: Pipeline, broken: list[Stage]) -> list[Stage]:
    skipped = _skip(pipeline, broken)
    others = [stage for stage in pipeline.stages if broken and stage.status is StageStatus.PENDING]
    for stage in others:
        stage.status = StageStatus.SKIPPED
    return skipped + others


def _waiting_but(*forgotten: StageStatus) -> Any:
    waiting = {StageStatus.PENDING, StageStatus.QUEUED, StageStatus.RETRYING} - set(forgotten)
    return lambda stage: stage.status in waiting


def _nobody_waits(pipeline: Pipeline) -> bool:
    return all(stage.status in STAGE_TERMINAL or stage.status is StageStatus.RUNNING for stage in pipeline.stages)


RELEASES = (
    mutant("told_again_and_again", "release does not note whom it has told", release, "take_ended", _take_and_forget),
    mutant(
        "two_counted_as_one",
        "two dependencies that end together count once",
        release,
        "count_met",
        lambda ended: {dependent: 1 for stage in ended for dependent in stage.dependents},
    ),
    mutant(
        "one_dependency_forgotten",
        "create counts one dependency less where there are several",
        submit,
        "unmet_at_first",
        lambda stage: max(1, len(stage.dependencies) - 1) if stage.dependencies else 0,
    ),
    mutant("failure_releases", "a failed dependency counts as met", release, "is_well", lambda _stage: True),
    mutant("skip_does_not_cascade", "skipped stages do not skip theirs", release, "skip_dependents", _skip_and_stop),
    mutant(
        "skip_takes_everybody",
        "one failure skips all that is pending",
        release,
        "skip_dependents",
        _skip_everybody,
    ),
    mutant("queued_told_twice", "an event is written twice", submit, "queued_news", lambda queued: _news(queued) * 2),
    mutant("queued_not_told", "an event is not written", submit, "queued_news", lambda _queued: []),
    mutant(
        "retry_at_once",
        "a due retry is not compared with the clock",
        release,
        "is_due",
        lambda stage, _now: stage.status is StageStatus.RETRYING,
    ),
    mutant("settle_ignores_running", "a pipeline settles when nobody waits", journal, "is_over", _nobody_waits),
    mutant(
        "settle_forgets_failures",
        "a pipeline with a failed stage completes",
        journal,
        "ending",
        lambda pipeline: PipelineEvent.SETTLE_COMPLETED if pipeline.status in GOING_ON else _ending(pipeline),
    ),
    mutant(
        "settle_not_while_paused",
        "a paused pipeline never settles",
        journal,
        "SETTLES",
        journal.SETTLES - {"paused"},
    ),
    mutant(
        "skips_not_counted",
        "a skipped stage stays open in the counter",
        journal,
        "ENDED",
        journal.ENDED - {EventType.STAGE_SKIPPED},
    ),
)
CONTROLS = (
    mutant(
        "cancel_forgets_retrying",
        "a cancel leaves stages that wait for their next attempt",
        control,
        "is_waiting",
        _waiting_but(StageStatus.RETRYING),
    ),
    mutant(
        "cancel_forgets_queued",
        "a cancel leaves queued stages",
        control,
        "is_waiting",
        _waiting_but(StageStatus.QUEUED),
    ),
    mutant(
        "cancel_forgets_pending",
        "a cancel leaves pending stages",
        control,
        "is_waiting",
        _waiting_but(StageStatus.PENDING),
    ),
    mutant(
        "retry_keeps_old_dispatch_token",
        "a stage that is queued again may be claimed by its old jobs",
        submit,
        "next_dispatch_token",
        lambda stage: max(1, stage.dispatch_token),
    ),
    mutant(
        "retry_does_not_settle_first",
        "a retry is refused until somebody has settled the pipeline",
        control,
        "settle_first",
        lambda _pipeline: None,
    ),
    mutant(
        "retry_grants_no_budget",
        "old errors and losses still count",
        control,
        "grant_budget",
        lambda _stage: None,
    ),
    mutant(
        "retry_believes_the_counter",
        "what a stage waits for is not counted anew",
        control,
        "unmet_now",
        lambda _pipeline, stage: stage.unmet,
    ),
    mutant(
        "retry_tells_again",
        "the dependents of kept stages are told a second time",
        control,
        "is_told_by_retry",
        lambda: False,
    ),
    mutant("retry_repeats_completed", "completed stages run again", control, "is_kept", lambda _stage: False),
)
ALL = RELEASES + CONTROLS
