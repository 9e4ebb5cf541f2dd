"""Guards that another guard stands behind: without one of them nothing is broken, in this model.

They are kept: each is cheap, and each alone would do if the other were lost. Should one of these be found one day, it
is no longer masked and belongs to the others.
"""

from tests.properties.simulation.model import completion, control, journal, submit
from tests.properties.simulation.model.records import Database, Job, Stage
from tests.properties.simulation.mutants.planting import mutant
from tests.properties.simulation.world.redis import Redis
from tests.properties.simulation.world.scheduler import Scheduler
from tests.properties.simulation.world.worker import Worker


def _dispatch_always(_db: Database, queued: list) -> list[Job]:
    return [Job(stage.position, stage.dispatch_token) for stage in queued]


def _gives_up_later(stage: Stage, now: float) -> float | None:
    ends = [limit for limit in (stage.queue_timeout_s, stage.total_timeout_s) if limit is not None]
    return now + min(ends) if ends else None


def _page_only(self: Scheduler) -> None:
    self.world.redis.is_complete = True
    _dispatch_again(self)


_dispatch_again = Scheduler.dispatch_again

ALL = (
    mutant(
        "fence_without_status",
        "a completion does not compare the status",
        completion,
        "is_running",
        lambda _stage: True,
        masked_by="the lease token, which a stage has only while it runs",
    ),
    mutant(
        "fence_without_attempt",
        "a completion does not compare the attempt",
        completion,
        "is_newest",
        lambda _stage, _said: True,
        masked_by="the lease token, which no two attempts share",
    ),
    mutant(
        "fence_without_token",
        "a completion does not compare the lease token",
        completion,
        "is_holder",
        lambda _stage, _said: True,
        masked_by="status and attempt: an attempt has one holder, and is running once",
    ),
    mutant(
        "dispatch_while_paused",
        "jobs of a paused pipeline are put on Redis",
        journal,
        "to_dispatch",
        _dispatch_always,
        masked_by="the claim, which looks at the pipeline's status",
    ),
    mutant(
        "resume_dispatches_nothing",
        "resume leaves the queued stages to the sweep",
        control,
        "resume",
        lambda db, now: [] if isinstance(answer := _resume(db, now), list) else answer,
        masked_by="the dispatcher, which repairs Redis; it costs a sweep",
    ),
    mutant(
        "epoch_ignored",
        "FLUSHALL is not noticed as such",
        Scheduler,
        "dispatch_again",
        _page_only,
        masked_by="the dispatcher's pages, which repair Redis anyway; it costs a sweep",
    ),
    mutant(
        "in_flight_not_cleared",
        "a job stays in flight after its claim was answered",
        Redis,
        "settle",
        lambda _self, _job: None,
        masked_by="put_back_stale and the claim: the job comes back and is refused",
    ),
    mutant(
        "total_timeout_begins_anew",
        "each retry has the total timeout for itself",
        submit,
        "give_up_at",
        _gives_up_later,
        masked_by="the time limit of the attempt, which is over when it begins, and is not retried",
    ),
    mutant(
        "hands_back_while_asking",
        "an attempt is handed back while its claim is still being repeated",
        Worker,
        "is_stranger",
        lambda self, stranger: stranger.lease_token not in self.attempts,
        masked_by="the worker, which does not start what it was granted more than a lease after it had asked",
    ),
    mutant(
        "no_hints",
        "workers do not tell schedulers of completions",
        Worker,
        "hint",
        lambda _self: None,
        masked_by="the sweep; it costs up to 5 s a stage",
    ),
)
_resume = control.resume
