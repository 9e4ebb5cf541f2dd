"""The witness: looks at every transaction as it commits, and at every process as it starts."""

from collections.abc import Callable, Sequence
from typing import Any

from schemas.event import EventType
from schemas.states import Outcome, PipelineStatus, StageStatus
from tests.properties.simulation.model.claims import Claimed
from tests.properties.simulation.model.records import Completion, Database, Job, StagePlan
from tests.properties.simulation.witness import rows
from tests.properties.simulation.witness.history import ENDED_BADLY, GOING_ON, TERMINAL, History
from tests.properties.simulation.witness.violation import Violation

S = StageStatus
OWN_ERRORS = (Outcome.FAILED, Outcome.TIMED_OUT)
LOSSES_MAX = 3


class Witness:
    """Knows what was asked, what was answered and what the events say; believes none of it alone."""

    __slots__ = ("_asked", "db", "due_at", "errors", "granted", "history", "hopeless", "losses", "outcomes")

    def __init__(self, db: Database, plans: Sequence[StagePlan]) -> None:
        self.db = db
        self.history = History(list(plans))
        self.granted: dict[int, tuple[int, int]] = {}  # lease token → stage, attempt
        self.outcomes: dict[tuple[int, int], Outcome] = {}  # stage, attempt → what was committed first
        self.errors = [0] * len(plans)  # of its own, since its budget was granted
        self.losses = [0] * len(plans)  # in a row
        self.due_at = [0.0] * len(plans)  # not to be queued again before
        self.hopeless: set[int] = set()  # lease tokens of attempts whose error no retry would help
        self._asked: dict[str, Callable[[float, tuple[Any, ...], Any, int], None]] = {
            "claim": self._claimed,
            "complete": self._completed,
            "release": self._released,
            "retry": self._retried,
        }

    def saw(self, verb: str, now: float, args: tuple[Any, ...], answer: Any) -> None:
        """One transaction has committed."""
        history, events = self.history, self.db.pipeline.events
        before = history.seq
        if verb == "retry":
            self._check_retry(answer)
        if len(events) > before:
            for event in events[before:]:
                history.take(event)
            rows.compare(self.db.pipeline, history)
        elif verb == "release":
            rows.compare(self.db.pipeline, history)
        if check := self._asked.get(verb):
            check(now, args, answer, history.seq - before)

    def _claimed(self, now: float, args: tuple[int, Job, int], answer: Claimed, news: int) -> None:
        worker, job, lease_token = args
        told = self.history.stages[job.position]
        if news:
            lease = self.db.leases[worker]
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
        return said.lease_token in self.hopeless and said.outcome is Outcome.FAILED

    def _check_retry(self, answer: Any) -> None:
        status, stages = self.history.status, self.history.stages
        over = all(stage.status in TERMINAL for stage in stages) and status is not PipelineStatus.PENDING
        broken = status not in GOING_ON or any(stage.status in (S.FAILED, S.CANCELLED) for stage in stages)
        fits = over and broken and status is not PipelineStatus.COMPLETED
        if fits is not isinstance(answer, list):
            raise Violation("retry_rule", f"retry of a pipeline that is {status} was answered {answer}")

    def _retried(self, _now: float, _args: tuple[()], _answer: Any, news: int) -> None:
        for position, stage in enumerate(self.db.pipeline.stages):
            if news and stage.status not in TERMINAL:
                self.errors[position] = self.losses[position] = 0
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
