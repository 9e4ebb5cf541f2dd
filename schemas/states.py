"""Every state word, spelled once.

SQL, HTTP, metrics and the docs use exactly these words; ``tests/architecture`` holds them together. What may follow
what is the business of ``app/core/transitions.py``.
"""

from enum import StrEnum


class PipelineStatus(StrEnum):
    """A pipeline's life: ``pending → running → completed | failed | cancelled``."""

    PENDING = "pending"
    """Stored by a create call, nothing released yet. A start call moves it on, a cancel call ends it."""
    RUNNING = "running"
    """Started: its stages are released, dispatched and claimed. Settling ends it."""
    PAUSED = "paused"
    """Running stages finish and dependents are released, but nothing is dispatched or claimed until a resume."""
    CANCELLING = "cancelling"
    """Cancel was asked for; nothing starts any more. Ends as cancelled when the last running stage has stopped."""
    COMPLETED = "completed"
    """Settled with every stage completed, or skipped by its own rule."""
    FAILED = "failed"
    """Settled with at least one stage failed or cancelled singly. An explicit retry revives it."""
    CANCELLED = "cancelled"
    """Settled after a cancel. An explicit retry revives it."""


class StageStatus(StrEnum):
    """A stage's life: ``pending → queued → running → completed | failed | cancelled``; ``retrying`` is a detour."""

    PENDING = "pending"
    """Waits for its dependencies. The scheduler releases it, or skips it when one of them did not complete."""
    QUEUED = "queued"
    """Released: dispatched to its Redis queue, waiting for a worker's claim in Postgres."""
    RUNNING = "running"
    """Claimed by one worker under a lease, until its process group is gone and its outcome is committed."""
    RETRYING = "retrying"
    """An attempt ended without completing; the scheduler queues the stage again at ``retry_at``."""
    COMPLETED = "completed"
    """Ended with a result."""
    FAILED = "failed"
    """Ended with an error after its last permitted attempt."""
    SKIPPED = "skipped"
    """Never ran: a dependency did not complete, or its trigger rule had no need of it."""
    CANCELLED = "cancelled"
    """Ended by a cancel of the stage or of its pipeline."""


class Outcome(StrEnum):
    """How one attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    """Stopped on request: a cancel, or a drain of its worker."""
    LOST = "lost"
    """Its worker's lease ran out, or its worker lost track of it."""


class TriggerRule(StrEnum):
    """When a stage that waits for others is released; what is not released in the end is skipped."""

    ALL_COMPLETED = "all_completed"
    """All dependencies completed, or ended otherwise and were allowed to. Skipped as soon as one went wrong."""
    ALL_DONE = "all_done"
    """All dependencies have ended, however they did: for clean-up."""
    ANY_FAILED = "any_failed"
    """All dependencies have ended, and one of them at least failed, was cancelled, or was skipped for want of its own:
    for notification. Skipped otherwise, as not needed."""


class CheckpointState(StrEnum):
    """A checkpoint's life: ``writing → complete → deleting → deleted``, or ``invalid`` on the way."""

    WRITING = "writing"
    """Its program has announced it and has not said that it is whole. Nobody resumes from it."""
    COMPLETE = "complete"
    """Reported as whole. The newest of a stage is where its next attempt resumes."""
    INVALID = "invalid"
    """Found torn or missing; ``reason`` says how. Nobody resumes from it."""
    DELETING = "deleting"
    """No rule keeps it; its files are being removed, or a clean-up died on the way and the next one goes on."""
    DELETED = "deleted"
    """Its files are gone; the row stays as long as its pipeline."""


PIPELINE_TERMINAL = frozenset({PipelineStatus.COMPLETED, PipelineStatus.FAILED, PipelineStatus.CANCELLED})
STAGE_TERMINAL = frozenset(
    {StageStatus.COMPLETED, StageStatus.FAILED, StageStatus.SKIPPED, StageStatus.CANCELLED},
)
STAGE_WAITING = frozenset({StageStatus.PENDING, StageStatus.QUEUED, StageStatus.RETRYING})
