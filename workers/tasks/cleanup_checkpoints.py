"""``cleanup_checkpoints``: keep the best checkpoints of a pipeline, delete the others.

The table is the authority. What is to go is marked ``deleting`` first, renamed, removed, and marked ``deleted`` last,
so a clean-up that dies anywhere is finished by the next one, and a checkpoint that is kept is never touched.
"""

import asyncio
import math
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import structlog

from app.core.wording import quoted
from app.services import checkpoints
from schemas.checkpoint import Checkpoint
from schemas.queue import Queue, Slot
from schemas.training import CleanupParams, CleanupResult
from workers.inline import InlineContext
from workers.tasks import NotRetryable, Task

NAMES_SHOWN_MAX = 20
log = structlog.get_logger()


async def run(context: InlineContext, params: CleanupParams) -> CleanupResult:
    """Delete what is neither among the best n, nor pinned, nor where a stage that still lives would resume."""
    found = await checkpoints.of_pipeline(context.pool, context.pipeline_uuid, params.stage)
    if params.stage is not None and not found:
        require_stage(params.stage, await checkpoints.stage_names(context.pool, context.pipeline_uuid))
    ranked = rank(found, params.metric, params.mode)
    if found and not ranked:
        raise ValueError(f"no checkpoint reports the metric {params.metric}, so none can be called the best")
    kept = keep(found, ranked, params.keep_best_n)
    root = (context.data_dir / "artifacts" / str(context.pipeline_uuid)).resolve()
    doomed = [checkpoint for checkpoint in found if checkpoint.id not in kept and is_below(checkpoint, root)]
    if not params.dry_run:
        marked = await checkpoints.mark(context.pool, [checkpoint.id for checkpoint in doomed], "deleting")
        doomed = [checkpoint for checkpoint in doomed if checkpoint.id in marked]
        for number, checkpoint in enumerate(doomed, 1):
            await asyncio.to_thread(remove, Path(checkpoint.path), checkpoint.id)
            await checkpoints.mark(context.pool, [checkpoint.id], "deleted")
            context.progress(number, len(doomed))
    return CleanupResult(
        kept=[checkpoint.path for checkpoint in sorted(found, key=_by_rank(ranked)) if checkpoint.id in kept],
        deleted=[checkpoint.path for checkpoint in doomed],
        freed_bytes=sum(checkpoint.bytes for checkpoint in doomed),
    )


def require_stage(name: str, known: Sequence[str]) -> None:
    """Refuse the name of no stage: a clean-up of nothing would look like success.

    Raises:
        NotRetryable: it names the stages that there are.

    """
    if name not in known:
        shown = ", ".join(known[:NAMES_SHOWN_MAX]) + (", …" if len(known) > NAMES_SHOWN_MAX else "")
        raise NotRetryable(f"no stage of this pipeline is named {quoted(name)}; there are {shown}")


def rank(found: Iterable[Checkpoint], metric: str, mode: str) -> list[Checkpoint]:
    """The complete checkpoints that report a number for the metric, best first; of equals the earlier step."""
    sign = 1 if mode == "min" else -1
    scored = [
        (sign * value, checkpoint.step, checkpoint)
        for checkpoint in found
        if checkpoint.state == "complete"
        and isinstance(value := checkpoint.metrics.get(metric), int | float)
        and math.isfinite(value)
    ]
    return [checkpoint for _, _, checkpoint in sorted(scored, key=lambda entry: entry[:2])]


def keep(found: Sequence[Checkpoint], ranked: Sequence[Checkpoint], best_n: int) -> set[int]:
    """The ids to keep: the best n, every pinned one, and the last of each stage that may still resume from it."""
    complete = [checkpoint for checkpoint in found if checkpoint.state == "complete"]
    last = {checkpoint.stage: checkpoint for checkpoint in sorted(complete, key=lambda each: (each.step, each.id))}
    return (
        {checkpoint.id for checkpoint in ranked[:best_n]}
        | {checkpoint.id for checkpoint in found if checkpoint.pinned}
        | {checkpoint.id for checkpoint in last.values() if checkpoint.live}
    )


def is_below(checkpoint: Checkpoint, root: Path) -> bool:
    """Whether it lies in the pipeline's own directory; what a stage names elsewhere is not ours to delete."""
    path = Path(checkpoint.path)
    inside = path.is_absolute() and path.resolve().is_relative_to(root) and path.resolve() != root
    if not inside:
        log.warning("checkpoint_outside_its_pipeline", path=checkpoint.path)
    return inside


def remove(path: Path, number: int) -> None:
    """Rename, then delete, so that a half-deleted checkpoint never carries a checkpoint's name."""
    trash = path.parent / f".trash-{number}"
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        path.rename(trash)
    if trash.exists():
        shutil.rmtree(trash)


def _by_rank(ranked: Sequence[Checkpoint]) -> Callable[[Checkpoint], int]:
    order = {checkpoint.id: place for place, checkpoint in enumerate(ranked)}
    return lambda checkpoint: order.get(checkpoint.id, len(order))


CLEANUP_CHECKPOINTS = Task(
    name="cleanup_checkpoints",
    queue=Queue.MAINTENANCE,
    slot=Slot.INLINE,
    params=CleanupParams,
    result=CleanupResult,
    run=run,
)
