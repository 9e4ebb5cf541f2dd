"""``cleanup_checkpoints``: keep the best checkpoints of a pipeline, delete the others."""

from collections.abc import Sequence

from app.core.retention import Rule
from app.core.wording import quoted
from app.services import checkpoints, retention
from schemas.queue import Queue, Slot
from schemas.training import CleanupParams, CleanupResult
from workers.inline import InlineContext
from workers.tasks import NotRetryable, Task

NAMES_SHOWN_MAX = 20
PATHS_TOLD_MAX = 100
"""A long training has thousands, and a result only so much room."""


async def run(context: InlineContext, params: CleanupParams) -> CleanupResult:
    """Delete what is neither among the best n, nor pinned, nor where a stage that still lives would resume."""
    if params.stage is not None:
        require_stage(params.stage, await checkpoints.stage_names(context.pool, context.pipeline_uuid))
    rule = Rule(best_n=params.keep_best_n, metric=params.metric, mode=params.mode)
    cleaned = await retention.clean(
        context.pool,
        context.data_dir,
        context.pipeline_uuid,
        rule,
        stage=params.stage,
        dry_run=params.dry_run,
        on_progress=context.progress,
    )
    if cleaned.undecided:
        raise ValueError(f"no checkpoint reports the metric {params.metric}, so none can be called the best")
    return CleanupResult(
        kept=cleaned.kept[:PATHS_TOLD_MAX],
        kept_count=len(cleaned.kept),
        deleted=cleaned.deleted[:PATHS_TOLD_MAX],
        deleted_count=len(cleaned.deleted),
        freed_bytes=cleaned.freed_bytes,
    )


def require_stage(name: str, known: Sequence[str]) -> None:
    """Refuse the name of no stage: a clean-up of nothing would look like success.

    Raises:
        NotRetryable: it names the stages that there are.

    """
    if name not in known:
        shown = ", ".join(known[:NAMES_SHOWN_MAX]) + (", …" if len(known) > NAMES_SHOWN_MAX else "")
        raise NotRetryable(f"no stage of this pipeline is named {quoted(name)}; there are {shown}")


CLEANUP_CHECKPOINTS = Task(
    name="cleanup_checkpoints",
    queue=Queue.MAINTENANCE,
    slot=Slot.INLINE,
    params=CleanupParams,
    result=CleanupResult,
    run=run,
)
