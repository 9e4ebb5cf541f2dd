"""Why a stage does not run just now, in words."""

from collections.abc import Container

from schemas.stage import Stage
from schemas.states import PipelineStatus, StageStatus


def waiting_reason(
    stage: Stage, ended: Container[str], pipeline: PipelineStatus, paused_queues: Container[str]
) -> str | None:
    """What a stage of such a pipeline waits for; None if for nothing. ``ended`` are the names of those that ended."""
    match stage.status:
        case StageStatus.PENDING if pipeline is PipelineStatus.PENDING:
            return "the pipeline has not been started"
        case StageStatus.PENDING:
            return "waits for " + ", ".join(name for name in stage.depends_on if name not in ended)
        case StageStatus.QUEUED:
            return _queued(stage, pipeline, paused_queues)
        case StageStatus.RETRYING:
            return "waits for its next attempt"
        case _:
            return None


def _queued(stage: Stage, pipeline: PipelineStatus, paused_queues: Container[str]) -> str:
    if pipeline is PipelineStatus.PAUSED:
        return "the pipeline is paused"
    if stage.queue in paused_queues:
        return f"the queue {stage.queue} is paused"
    return f"waits for a free slot on the queue {stage.queue}"
