"""Defects of claim, complete and the leases: what SQL would do without one of its conditions."""

from app.core.transitions import STAGE_MOVES, StageEvent
from schemas.states import Outcome, PipelineStatus, StageStatus
from tests.properties.simulation.model import claims, completion, leases
from tests.properties.simulation.model.records import Completion, Database, Job, Pipeline, Stage
from tests.properties.simulation.mutants.planting import mutant

_claim, _complete, _status_after = claims.claim, completion.complete, completion.status_after
_expire, _beat = leases.expire, leases.beat


def _claim_once(db: Database, now: float, worker: int, job: Job, lease_token: int) -> claims.Claimed:
    stage = db.pipeline.stages[job.position]
    before = stage.attempt
    answer = _claim(db, now, worker, job, lease_token)
    return answer if stage.attempt > before or answer.worker_lost else claims.Claimed()


def _complete_once(db: Database, now: float, said: Completion) -> bool:
    holds = completion.holds(db.pipeline.stages[said.position], said)
    return _complete(db, now, said) and holds


def _complete_and_keep(db: Database, now: float, said: Completion) -> bool:
    stage = db.pipeline.stages[said.position]
    lease_token = stage.lease_token
    answer = _complete(db, now, said)
    stage.lease_token = lease_token
    return answer


def _complete_and_overwrite(db: Database, now: float, said: Completion) -> bool:
    answer = _complete(db, now, said)
    db.pipeline.stages[said.position].attempts[said.attempt - 1].outcome = said.outcome
    return answer


def _cancelled_all_the_same(pipeline: Pipeline, stage: Stage, said: Completion) -> StageStatus:
    is_cancelling = pipeline.status is PipelineStatus.CANCELLING
    return StageStatus.CANCELLED if is_cancelling else _status_after(pipeline, stage, said)


def _goes_on_while_cancelling(pipeline: Pipeline, stage: Stage, said: Completion) -> StageStatus:
    status = _status_after(pipeline, stage, said)
    return StageStatus.RETRYING if said.retry_delay_s is not None and said.outcome is not Outcome.COMPLETED else status


def _overdue_of_anybody(db: Database, now: float) -> list[Stage]:
    running = [stage for stage in db.pipeline.stages if stage.status is StageStatus.RUNNING]
    return [stage for stage in running if stage.started_at < now - stage.timeout_s - 2 * leases.LEASE_S]


CLAIMS = (
    mutant(
        "claim_takes_what_runs",
        "a claim does not look at the stage's status",
        STAGE_MOVES,
        StageEvent.CLAIM,
        dict.fromkeys(StageStatus, StageStatus.RUNNING),
    ),
    mutant(
        "claim_ignores_the_pipeline",
        "a claim does not look at the pipeline's status",
        claims,
        "is_claimable",
        lambda _pipeline, stage: stage.status is StageStatus.QUEUED,
    ),
    mutant(
        "claim_by_an_old_job",
        "a claim does not compare the dispatch token",
        claims,
        "is_newest_job",
        lambda _stage, _job: True,
    ),
    mutant(
        "claim_without_a_lease",
        "a claim does not look at the worker's lease",
        leases,
        "may_claim",
        lambda _db, _now, _worker: True,
    ),
    mutant("claim_answers_once", "a claim repeated with its token is refused", claims, "claim", _claim_once),
    mutant(
        "attempts_start_over",
        "attempts are counted from the last granted budget",
        claims,
        "next_attempt_number",
        lambda stage: stage.failures + 1,
    ),
)
COMPLETIONS = (
    mutant(
        "no_fence",
        "a completion ends whatever attempt is running",
        completion,
        "holds",
        lambda stage, _said: stage.status is StageStatus.RUNNING,
    ),
    mutant(
        "completion_answers_once",
        "a completion that repeats itself is called stale",
        completion,
        "complete",
        _complete_once,
    ),
    mutant(
        "ended_stage_keeps_its_holder",
        "a completion does not clear the lease token",
        completion,
        "complete",
        _complete_and_keep,
    ),
    mutant(
        "outcome_overwritten",
        "a stale completion still writes the row of its attempt",
        completion,
        "complete",
        _complete_and_overwrite,
    ),
    mutant(
        "cancel_throws_work_away",
        "what completes while cancelling is cancelled all the same",
        completion,
        "status_after",
        _cancelled_all_the_same,
    ),
    mutant(
        "cancelled_attempts_go_on",
        "an error while cancelling is retried",
        completion,
        "status_after",
        _goes_on_while_cancelling,
    ),
    mutant(
        "drain_costs_a_retry",
        "every attempt that did not complete costs budget",
        completion,
        "failures_after",
        lambda stage, said: stage.failures + (said.outcome is not Outcome.COMPLETED),
    ),
    mutant(
        "losses_never_reset",
        "an attempt that ended by itself does not end the row of losses",
        completion,
        "losses_after",
        lambda stage, said: stage.losses + (said.outcome is Outcome.LOST),
    ),
)
LEASES = (
    mutant(
        "lost_stages_not_found",
        "the rescuer does not find the stages of lost workers",
        leases,
        "lost",
        lambda _db, _now: [],
    ),
    mutant(
        "overdue_stages_not_found", "nobody ends what its worker cannot end", leases, "overdue", lambda _db, _now: []
    ),
    mutant(
        "overdue_counts_the_dead",
        "the stage of a lost worker is charged as timed out",
        leases,
        "overdue",
        _overdue_of_anybody,
    ),
    mutant("leases_never_expire", "no lease is ever taken", leases, "expire", lambda _db, _now: []),
    mutant(
        "lease_by_a_wrong_clock",
        "a lease is compared with a process's clock, an hour ahead",
        leases,
        "expire",
        lambda db, now: _expire(db, now + 3600),
    ),
    mutant(
        "beat_forgets_cancels",
        "the answer to a beat does not name what was cancelled",
        leases,
        "beat",
        lambda db, now, worker, held: _beat(db, now, worker, held)._replace(cancelled=[]),
    ),
    mutant(
        "beat_forgets_the_fenced",
        "the answer to a beat does not name what was taken away",
        leases,
        "beat",
        lambda db, now, worker, held: _beat(db, now, worker, held)._replace(fenced=[]),
    ),
    mutant(
        "beat_forgets_strangers",
        "the answer to a beat does not name attempts that the worker forgot",
        leases,
        "beat",
        lambda db, now, worker, held: _beat(db, now, worker, held)._replace(strangers=[]),
    ),
)
ALL = CLAIMS + COMPLETIONS + LEASES
