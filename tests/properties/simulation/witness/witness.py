"""The witness: looks at every transaction as it commits, and at every process as it starts."""

from collections.abc import Callable, Sequence
from typing import Any

from schemas.event import EventType
from schemas.states import Outcome, PipelineStatus, StageStatus
from tests.properties.simulation.model.claims import Claimed
from tests.properties.simulation.model.records import Completion, Database, Event, Job, StagePlan
from tests.properties.simulation.witness import rows
from tests.properties.simulation.witness.history import ENDED_BADLY, GOING_ON, TERMINAL, History
from tests.properties.simulation.witness.violation import Violation

S = StageStatus
OWN_ERRORS = (Outcome.FAILED, Outcome.TIMED_OUT)
LOSSES_MAX = 3
NOTICED_WITHIN_S = 120.0


class Witness:
    """Knows what was asked, what was answered and what the events say; believes none of it alone."""

    __slots__ = (
        "_asked",
        "cancelled",
        "db",
        "due_at",
        "errors",
        "expires_at",
        "granted",
        "history",
        "hopeless",
        "losses",
        "outcomes",
        "queue_is_paused",
        "queued_at",
        "was_paused",
    )

    def __init__(self, db: Database, plans: Sequence[StagePlan]) -> None:
        self.db = db
        self.history = History(list(plans))
        self.granted: dict[int, tuple[int, int]] = {}  # lease token → stage, attempt
        self.outcomes: dict[tuple[int, int], Outcome] = {}  # stage, attempt → what was committed first
        self.errors = [0] * len(plans)  # of its own, since its budget was granted
        self.losses = [0] * len(plans)  # in a row
        self.due_at = [0.0] * len(plans)  # not to be queued again before
        self.hopeless: set[int] = set()  # lease tokens of attempts whose error no retry would help
        self.queue_is_paused = self.was_paused = False
        self.cancelled: dict[int, float] = {}  # stages that are to be cancelled singly, since when
        self.queued_at = [0.0] * len(plans)
        self.expires_at = [float("inf")] * len(plans)
        self._asked: dict[str, Callable[[float, tuple[Any, ...], Any, int], None]] = {
            "claim": self._claimed,
            "complete": self._completed,
            "release": self._released,
            "retry": self._retried,
            "retry_stage": self._retried,
            "cancel_stage": self._cancelled,
            "pause": self._paused,
            "pause_queue": self._queue_paused,
            "resume_queue": self._queue_resumed,
        }

    def saw(self, verb: str, now: float, args: tuple[Any, ...], answer: Any) -> None:
        """One transaction has committed."""
        history, events = self.history, self.db.pipeline.events
        before = history.seq
        if verb in ("retry", "retry_stage"):
            self._check_retry(args, answer)
        if len(events) > before:
            for event in events[before:]:
                if event.position is not None:
                    self._note_wait(now, event, event.position)
                history.take(event)
            rows.compare(self.db.pipeline, history)
        elif verb == "release":
            rows.compare(self.db.pipeline, history)
        if check := self._asked.get(verb):
            check(now, args, answer, history.seq - before)

    def _note_wait(self, now: float, event: Event, position: int) -> None:
        """Nobody is given up for waiting too early; pauses may only make it later."""
        told = self.history.stages[position]
        if event.type is EventType.STAGE_QUEUED:
            self.queued_at[position] = now
            if told.status is S.PENDING:
                total_s = told.plan.total_timeout_s
                self.expires_at[position] = float("inf") if total_s is None else now + total_s
            return
        is_given_up = event.type is EventType.STAGE_FAILED and told.status is not S.RUNNING
        if is_given_up and now < (limit := self._may_wait_until(position)):
            raise Violation("waited_long_enough", f"stage {position} given up before {limit:.0f}")

    def _may_wait_until(self, position: int) -> float:
        told = self.history.stages[position]
        queue_s = told.plan.queue_timeout_s if told.status in (S.QUEUED, S.RUNNING) else None
        in_queue = float("inf") if queue_s is None else self.queued_at[position] + queue_s
        return min(self.expires_at[position], in_queue)

    def _cancelled(self, now: float, args: tuple[int], answer: Any, _news: int) -> None:
        if isinstance(answer, list):
            self.cancelled.setdefault(args[0], now)

    def _paused(self, *_: Any) -> None:
        self.was_paused = True

    def _queue_paused(self, *_: Any) -> None:
        self.queue_is_paused = self.was_paused = True

    def _queue_resumed(self, *_: Any) -> None:
        self.queue_is_paused = False

    def _claimed(self, now: float, args: tuple[int, Job, int], answer: Claimed, news: int) -> None:
        worker, job, lease_token = args
        told = self.history.stages[job.position]
        if news:
            lease = self.db.leases[worker]
            limit = self._may_wait_until(job.position)
            if not self.was_paused and now > limit + NOTICED_WITHIN_S:
                raise Violation("waited_long_enough", f"stage {job.position} began, to be given up at {limit:.0f}")
            if self.queue_is_paused:
                raise Violation("queue_pause_holds", f"stage {job.position} began while its queue was paused")
            if lease.state != "live" or lease.expires_at <= now:
                raise Violation("lease_to_claim", f"worker {worker} began stage {job.position} without a lease")
            if job.dispatch_token != told.queued:
                raise Violation("one_start_a_job", f"job {job} was taken when its stage was queued anew")
            self.granted[lease_token] = (job.position, told.attempt)
        holds = told.is_open and self.granted.get(lease_token) == (job.position, told.attempt)
        if not answer.worker_lost and holds is not (answer.claim is not None):
            raise Violation("same_answer", f"claim of stage {job.position} answered {answer}, holds it: {holds}")

    def _released(self, now: float, _args: tuple[int], _answer: Any, news: int) -> None:
        for event in self.db.pipeline.events[len(self.db.pipeline.events) - news :]:
            if event.type is EventType.STAGE_QUEUED and event.attempt and now < self.due_at[event.position or 0]:
                raise Violation(
                    "delay_kept", f"stage {event.position} queued before {self.due_at[event.position or 0]}"
                )

    def _completed(self, now: float, args: tuple[Completion], answer: Any, news: int) -> None:
        (said,) = args
        key = (said.position, said.attempt)
        if news:
            if self.granted.get(said.lease_token) != key or self.history.stages[said.position].attempt != said.attempt:
                raise Violation("fence", f"attempt {said.attempt} of stage {said.position} ended another's")
            self.outcomes[key] = said.outcome
            if (said.outcome is Outcome.COMPLETED) is not (self.history.stages[said.position].status is S.COMPLETED):
                raise Violation("work_is_kept", f"stage {said.position} was told {said.outcome}")
            self.due_at[said.position] = now + (said.retry_delay_s or 0.0)
            if said.position in self.cancelled and self.history.stages[said.position].status is S.RETRYING:
                raise Violation("cancel_is_final", f"stage {said.position} is to have another attempt")
            self._check_budget(said)
        ours = self.granted.get(said.lease_token) == key and self.outcomes.get(key) is said.outcome
        if answer is not ours:
            raise Violation("same_answer", f"{said} was answered {answer}")

    def _check_budget(self, said: Completion) -> None:
        position, own = said.position, said.costs_retry and said.outcome in OWN_ERRORS
        if own:
            self.errors[position] += 1
        if said.outcome is Outcome.LOST:
            self.losses[position] += 1
        elif said.costs_retry:
            self.losses[position] = 0
        errors, losses = self.errors[position], self.losses[position]
        stage = self.db.pipeline.stages[position]
        if (stage.failures, stage.losses) != (errors, losses):
            raise Violation("budget", f"stage {position} counts {stage.failures} errors, {stage.losses} losses")
        exhausted = errors > stage.max_retries or self._is_hopeless(said) if own else losses >= LOSSES_MAX
        if stage.status is S.RETRYING and (own or said.outcome is Outcome.LOST) and exhausted:
            raise Violation("budget" if own else "quarantine", f"stage {position} goes on after {errors}, {losses}")
        if stage.status is S.FAILED and not exhausted:
            raise Violation("budget" if own else "quarantine", f"stage {position} failed after {errors}, {losses}")

    def _is_hopeless(self, said: Completion) -> bool:
        return said.lease_token in self.hopeless and said.outcome in OWN_ERRORS

    def _check_retry(self, args: tuple[int, ...], answer: Any) -> None:
        status, stages = self.history.status, self.history.stages
        over = all(stage.status in TERMINAL for stage in stages) and status is not PipelineStatus.PENDING
        wrong = [stage.status in (S.FAILED, S.CANCELLED) for stage in stages]
        broken = any(each and not stage.plan.allow_failure for each, stage in zip(wrong, stages, strict=True))
        fits = over and (broken or status not in GOING_ON) and status is not PipelineStatus.COMPLETED
        fits = fits and all(wrong[position] for position in args)
        if fits is not isinstance(answer, list):
            raise Violation("retry_rule", f"retry of a pipeline that is {status} was answered {answer}")

    def _retried(self, _now: float, _args: tuple[int, ...], _answer: Any, news: int) -> None:
        for position, stage in enumerate(self.db.pipeline.stages):
            if news and stage.status not in TERMINAL:
                self.errors[position] = self.losses[position] = 0
                self.cancelled.pop(position, None)
                if stage.failures or stage.losses:
                    raise Violation("budget", f"the retry of stage {position} did not grant a fresh budget")

    def at_the_end(self) -> None:
        """Everything is quiet: the rows of all attempts say what was committed first."""
        for stage in self.db.pipeline.stages:
            for number, attempt in enumerate(stage.attempts, 1):
                if attempt.outcome is not self.outcomes.get((stage.position, number)):
                    raise Violation("one_outcome", f"attempt {number} of stage {stage.position}: {attempt.outcome}")
            if stage.status in ENDED_BADLY or stage.status is S.COMPLETED:
                continue
            raise Violation("liveness", f"stage {stage.position} is {stage.status} in the end")
