"""Retention: which checkpoints go, and how they go without losing one that is kept.

What is to go is marked ``deleting`` first, renamed, removed, and marked ``deleted`` last. So a clean-up that dies
anywhere is finished by the next one, two at once do not disturb each other, and what is kept is never touched.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import structlog
from msgspec import Struct
from msgspec.structs import asdict

from app.artifacts import FOLDER
from app.core.retention import Rule, Verdict, judge
from app.db import checkpoints as db
from app.db import stages as db_stages
from app.db.pool import Pool, connection
from app.settings import Settings
from app.trash import OutsideRoot, remove, steps_below, ways_to
from schemas.checkpoint import StoredCheckpoint
from schemas.states import CheckpointState

DEPTH_MIN = 4
"""A checkpoint lies in ``<pipeline>/<stage>/<attempt>/`` and is not that directory itself."""
LOOKED_AT_ONCE = 1_000
log = structlog.get_logger()


class Cleaned(Struct, frozen=True, kw_only=True):
    """What a clean-up did; paths of what was kept, the best first, and of what was deleted.

    ``undecided`` when no checkpoint reports the metric of the rule, so that nothing was newly deleted.
    """

    kept: list[str]
    deleted: list[str]
    freed_bytes: int
    undecided: bool


class Retained(Struct, frozen=True, kw_only=True):
    """What ``cleanup_old_checkpoints`` did.

    ``undecided`` counts pipelines whose checkpoints do not report the metric, ``failed`` those whose files could not be
    removed.
    """

    pipelines: int = 0
    deleted: int = 0
    freed_bytes: int = 0
    undecided: int = 0
    failed: int = 0


def rule_of(settings: Settings) -> Rule:
    """What an operator wants to be kept of old pipelines."""
    return Rule(
        best_n=settings.checkpoint_keep_best,
        metric=settings.checkpoint_metric,
        mode=settings.checkpoint_metric_mode,
        keep_last=True,
    )


async def clean(
    pool: Pool,
    data_dir: Path,
    pipeline: UUID,
    rule: Rule,
    *,
    stage: str | None = None,
    dry_run: bool = False,
    on_progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> Cleaned:
    """Delete what the rule does not keep of a pipeline's checkpoints, or of those of one stage, taken together."""
    async with connection(pool) as c:
        found = await db.of_pipeline(c, pipeline, stage)
    return await _carry_out(pool, data_dir, found, [judge(found, rule)], dry_run=dry_run, on_progress=on_progress)


async def cleanup_old_checkpoints(pool: Pool, data_dir: Path, *, older_than_s: float, rule: Rule) -> Retained:
    """Thin out the checkpoints of pipelines that ended long ago, stage by stage, and finish every deletion begun.

    A pipeline is judged once by the same rule, unless it gets new checkpoints, or loses a pin. It may be called as
    often as one likes, also at once from several processes. What cannot be removed is logged and tried again next time.
    """
    done = Retained()
    async with connection(pool) as c:
        ended_before = await db_stages.now(c) - timedelta(seconds=older_than_s)
        half_deleted = await db.half_deleted(c, LOOKED_AT_ONCE)
    for pipeline in half_deleted:
        done = _add(done, await _guarded(_finish(pool, data_dir, pipeline), pipeline))
    async for pipeline in _to_judge(pool, ended_before, str(rule)):
        done = _add(done, await _guarded(_retain(pool, data_dir, pipeline, rule), pipeline))
    return done


async def _to_judge(pool: Pool, ended_before: datetime, rule: str) -> AsyncIterator[UUID]:
    async with connection(pool) as c:
        others = await db.other_rules(c, rule)
    for judged_by in others:
        after: int | None = 0
        while after is not None:
            async with connection(pool) as c:
                pipelines, after = await db.to_judge(c, judged_by, ended_before, after, LOOKED_AT_ONCE)
            for pipeline in pipelines:
                yield pipeline


async def _guarded(work: Awaitable[Cleaned], pipeline: UUID) -> Cleaned | None:
    """One pipeline whose files cannot be removed must not keep the others from it."""
    try:
        return await work
    except (OSError, OutsideRoot) as error:
        log.warning("checkpoints_not_deleted", pipeline=str(pipeline), error=str(error))
        return None


async def _retain(pool: Pool, data_dir: Path, pipeline: UUID, rule: Rule) -> Cleaned:
    async with connection(pool) as c:
        found = await db.of_pipeline(c, pipeline, None)
    by_stage: dict[str, list[StoredCheckpoint]] = {}
    for each in found:
        by_stage.setdefault(each.stage, []).append(each)
    cleaned = await _carry_out(pool, data_dir, found, [judge(some, rule) for some in by_stage.values()])
    async with connection(pool) as c:
        await db.mark_kept(c, [each.id for each in found], str(rule))
    return cleaned


async def _finish(pool: Pool, data_dir: Path, pipeline: UUID) -> Cleaned:
    async with connection(pool) as c:
        found = await db.of_pipeline(c, pipeline, None)
    begun = [each for each in found if each.state == CheckpointState.DELETING]
    return await _carry_out(pool, data_dir, begun, [Verdict(keep=[], delete=begun, undecided=False)])


async def _carry_out(
    pool: Pool,
    data_dir: Path,
    found: Sequence[StoredCheckpoint],
    verdicts: Sequence[Verdict],
    *,
    dry_run: bool = False,
    on_progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> Cleaned:
    doomed = [each for verdict in verdicts for each in verdict.delete if _place(data_dir, each) is not None]
    doomed = await _removable(pool, data_dir, doomed, {each.id for each in doomed})
    if not dry_run and doomed:
        async with connection(pool) as c:
            marked = await db.mark_deleting(c, [each.id for each in doomed])
        doomed = [each for each in doomed if each.id in marked]
        left = set()
        for number, each in enumerate(doomed, 1):
            if not await _delete(pool, data_dir, each):
                left.add(each.id)
            on_progress(number, len(doomed))
        doomed = [each for each in doomed if each.id not in left]
    gone = {each.id for each in doomed}
    order = {each.id: place for place, each in enumerate(each for verdict in verdicts for each in verdict.keep)}
    kept = sorted((each for each in found if each.id not in gone), key=lambda each: order.get(each.id, len(order)))
    return Cleaned(
        kept=[each.path for each in kept],
        deleted=[each.path for each in doomed],
        freed_bytes=sum(each.bytes for each in doomed),
        undecided=any(verdict.undecided for verdict in verdicts),
    )


async def _removable(
    pool: Pool, data_dir: Path, doomed: Sequence[StoredCheckpoint], going: AbstractSet[int] = frozenset()
) -> list[StoredCheckpoint]:
    """Look again at what is ``going`` or marked: leave out what is neither, or would take one with it that stays."""
    if not doomed:
        return []
    async with connection(pool) as c:
        found = await db.of_pipeline(c, doomed[0].pipeline, None)
    going = going | {each.id for each in found if each.state == CheckpointState.DELETING}
    staying = [Path(each.path) for each in found if each.id not in going]
    return await asyncio.to_thread(_clear_of, data_dir, [each for each in doomed if each.id in going], staying)


def _clear_of(data_dir: Path, doomed: Sequence[StoredCheckpoint], staying: Sequence[Path]) -> list[StoredCheckpoint]:
    needed = ways_to(data_dir / FOLDER, staying)
    return [each for each in doomed if _place(data_dir, each) not in needed]


async def _delete(pool: Pool, data_dir: Path, checkpoint: StoredCheckpoint) -> bool:
    """Remove one that is marked, unless it was reported anew; if that happens meanwhile, its files may be gone."""
    steps = _place(data_dir, checkpoint)
    if steps is None or not await _removable(pool, data_dir, [checkpoint]):
        return False
    await asyncio.to_thread(remove, data_dir / FOLDER, steps, str(checkpoint.id))
    is_there = await asyncio.to_thread(os.path.lexists, data_dir.joinpath(FOLDER, *steps))
    async with connection(pool) as c:
        if not is_there:
            await db.mark_lost(c, checkpoint.id)
        await db.mark_deleted(c, [checkpoint.id])
    return True


def _place(data_dir: Path, checkpoint: StoredCheckpoint) -> tuple[str, ...] | None:
    """Where it lies below the artifacts; None for what a stage names elsewhere, which is not ours to delete."""
    path, own = Path(checkpoint.path), (str(checkpoint.pipeline), checkpoint.stage)
    try:
        steps = steps_below(data_dir / FOLDER, path)
    except OutsideRoot:
        steps = ()
    if steps[: len(own)] == own and len(steps) >= DEPTH_MIN:
        return steps
    log.warning("checkpoint_not_ours_to_delete", checkpoint=checkpoint.id, path=checkpoint.path)
    return None


def _add(done: Retained, cleaned: Cleaned | None) -> Retained:
    if cleaned is None:
        return Retained(**{**asdict(done), "failed": done.failed + 1})
    return Retained(
        pipelines=done.pipelines + 1,
        deleted=done.deleted + len(cleaned.deleted),
        freed_bytes=done.freed_bytes + cleaned.freed_bytes,
        undecided=done.undecided + cleaned.undecided,
        failed=done.failed,
    )
