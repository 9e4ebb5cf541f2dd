"""Follow up: what an outcome of this worker makes possible is released here, where it is known first.

It is the second act as the schedulers do it (``app/scheduler/releaser.py``), in a transaction of its own, as long as it
is little and nobody is in the way. Whatever is more, is locked or goes wrong is left to them: they hear of it on the
stream of completions, or find it by their sweep.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import structlog
from msgspec.structs import replace

from app.errors import Unavailable
from app.services import stages
from schemas.stage import Completed, Hint, Released, Transition
from workers.publish import publish
from workers.room import Room

PIPELINES_MAX = 2
DEPENDENTS_MAX = 20
log = structlog.get_logger()


async def follow_up(room: Room, completed: Completed) -> None:
    """Release what these outcomes have made possible if it is little, and tell of everything at once."""
    ids = [hint.pipeline_id for hint in completed.hints if hint.releasable]
    is_little = len(ids) <= PIPELINES_MAX and completed.dependents <= DEPENDENTS_MAX
    released = await _release(room, ids) if ids and is_little else Released(more=ids)
    left = {*released.more, *released.locked}
    hints = list(_newest(completed.hints, released.hints, left))
    await publish(room.queue, Transition(hints=hints, queued=released.queued))


async def _release(room: Room, ids: list[int]) -> Released:
    try:
        return await stages.release_at_once(room.pool, ids)
    except Unavailable:
        return Released(more=ids)
    except Exception:  # a bug; outcomes that wait to be committed must not suffer for it
        log.exception("release_failed")
        return Released(more=ids)


def _newest(completed: Iterable[Hint], released: Iterable[Hint], left: set[int]) -> Iterator[Hint]:
    """One hint a pipeline; schedulers have to look at those that are left."""
    by_pipeline = {hint.pipeline_id: hint for hint in chain(completed, released)}
    return (replace(hint, releasable=hint.pipeline_id in left) for hint in by_pipeline.values())
