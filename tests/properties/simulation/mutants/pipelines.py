"""Defects of release, settle, cancel and retry: what SQL would do without one of its conditions or statements."""

from typing import Any

from app.core.transitions import PipelineEvent, StageEvent
from schemas.event import EventType
from schemas.states import STAGE_TERMINAL, PipelineStatus, StageStatus
from tests.properties.simulation.model import claims, completion, control, journal, leases, release, submit
from tests.properties.simulation.model.records import Completion, Database, Pipeline, Stage
from tests.properties.simulation.mutants.planting import mutant

GOING_ON = (PipelineStatus.RUNNING, PipelineStatus.PAUSED)
_tell, _decide, _ending, _news = release.tell_dependents, release.decide, journal.ending, submit.queued_news

_count_met, _status_after = release.count_met, completion.status_after


def _take_and_forget(pipeline: Pipeline, batch: int) -> list[Stage]:
    return [stage for stage in pipeline.stages if stage.status in STAGE_TERMINAL and not stage.propagated][:batch]


def _skip_and_stop(pipeline: Pipeline, now: float, ended: list[Stage]) -> tuple[list[Stage], list[Stage]]:
    released, skipped = _tell(pipeline, now, ended)
    for stage in skipped:
        stage.propagated = True
    return released, skipped


def _skip_everybody(pipeline: Pipeline, now: float, ended: list[Stage]) -> tuple[list[Stage], list[Stage]]:
    released, skipped = _tell(pipeline, now, ended)
    others = [stage for stage in pipeline.stages if skipped and stage.status is StageStatus.PENDING]
    for stage in others:
        stage.status = StageStatus.SKIPPED
    return released, skipped + others


def _skip_by_no_rule(pipeline: Pipeline, waiting: Stage, told: list[Stage]) -> StageEvent | None:
    waits_in_vain = not all(release.is_well(stage) for stage in told)
    return StageEvent.SKIP if waits_in_vain else _decide(pipeline, waiting, told)


def _purge_everything(db: Database, _now: float) -> list[Any]:
    waiting = (StageStatus.QUEUED, StageStatus.RUNNING)
    control._stop_singly(db.pipeline, [stage for stage in db.pipeline.stages if stage.status in waiting])
    return []


def _goes_on_though_cancelled(pipeline: Pipeline, stage: Stage, said: Completion) -> StageStatus:
    stage.cancel_asked = False
    return _status_after(pipeline, stage, said)


def _retry_all_that_is_not_completed(pipeline: Pipeline, only: int | None) -> list[int]:
    return [s.position for s in pipeline.stages if s.status is not StageStatus.COMPLETED and only in (None, s.position)]


def _retry_what_went_wrong_only(pipeline: Pipeline, only: int | None) -> list[int]:
    return [s.position for s in pipeline.stages if s.status in release.WENT_WRONG and only in (None, s.position)]


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
        lambda waiting, told: min(1, _count_met(waiting, told)),
    ),
    mutant(
        "one_dependency_forgotten",
        "create counts one dependency less where there are several",
        submit,
        "unmet_at_first",
        lambda stage: max(1, len(stage.dependencies) - 1) if stage.dependencies else 0,
    ),
    mutant("failure_releases", "a failed dependency counts as met", release, "is_well", lambda _stage: True),
    mutant("skip_does_not_cascade", "skipped stages do not skip theirs", release, "tell_dependents", _skip_and_stop),
    mutant("clean_up_is_skipped", "a failure skips whatever waits, by any rule", release, "decide", _skip_by_no_rule),
    mutant(
        "clean_up_waits_for_success",
        "only what went well counts, by any rule",
        release,
        "count_met",
        lambda _waiting, told: sum(release.is_well(stage) for stage in told),
    ),
    mutant("alert_always", "an any_failed stage runs whatever happened", release, "is_needed", lambda *_: True),
    mutant("alert_never", "an any_failed stage is never needed", release, "is_needed", lambda *_: False),
    mutant(
        "needless_alert_alarms",
        "an any_failed stage that was not needed counts as gone wrong",
        release,
        "has_gone_wrong",
        lambda stage: not release.is_well(stage),
    ),
    mutant(
        "allowed_failure_skips",
        "a failure that is allowed skips what waits for it",
        release,
        "is_well",
        lambda stage: stage.status is StageStatus.COMPLETED,
    ),
    mutant("allowed_failure_breaks", "a failure that is allowed fails the pipeline", journal, "breaks", lambda _: True),
    mutant("nobody_is_given_up", "no limit on waiting is kept", release, "is_expired", lambda *_: False),
    mutant(
        "given_up_too_early",
        "a queue timeout is half as long as it should be",
        submit,
        "give_up_at",
        lambda stage, now: None if stage.queue_timeout_s is None else now + stage.queue_timeout_s / 2,
    ),
    mutant(
        "given_up_while_paused",
        "what is held back by a pause is given up for waiting",
        release,
        "is_expired",
        lambda _db, stage, now: stage.give_up_at is not None and stage.give_up_at <= now,
    ),
    mutant(
        "skip_takes_everybody",
        "one failure skips all that is pending",
        release,
        "tell_dependents",
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
        lambda stage: stage.unmet,
    ),
    mutant(
        "retry_tells_nobody",
        "those that begin again do not hear of what was kept",
        control,
        "is_told_by_retry",
        lambda _stage: True,
    ),
    mutant(
        "retry_repeats_completed",
        "completed stages run again",
        control,
        "begin_again",
        lambda pipeline, _only: list(range(len(pipeline.stages))),
    ),
    mutant(
        "retry_keeps_what_ran_for_the_failure",
        "a clean-up that completed is not done anew",
        control,
        "begin_again",
        _retry_all_that_is_not_completed,
    ),
    mutant("retry_leaves_the_skipped", "skipped stages stay so", control, "begin_again", _retry_what_went_wrong_only),
    mutant(
        "purge_takes_what_runs",
        "a purge marks running stages as cancelled",
        control,
        "purge",
        _purge_everything,
    ),
    mutant(
        "cancel_of_a_stage_is_forgotten",
        "a beat tells only of cancelled pipelines",
        leases,
        "is_to_be_stopped",
        lambda pipeline, _stage: pipeline.status is PipelineStatus.CANCELLING,
    ),
    mutant(
        "cancelled_stage_goes_on",
        "an attempt of a stage that is to be cancelled may be retried",
        completion,
        "status_after",
        _goes_on_though_cancelled,
    ),
    mutant("queue_pause_ignored", "a claim does not look at its queue", claims, "is_queue_open", lambda _db: True),
)
ALL = RELEASES + CONTROLS
