"""Follow up: what an outcome of this worker makes possible is released here, where it is known first.

It is the second act as the schedulers do it (``app/scheduler/releaser.py``), in a transaction of its own, as long as it
is little and nobody is in the way. Whatever is more, is locked or goes wrong is left to them: they hear of it on the
stream of completions, or find it by their sweep.

For what idle slots of this worker can take the same transaction is the claim too, without the way through Redis: where
slots are idle the queues are empty, so nobody is overtaken. The rest is dispatched as ever.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import structlog
from msgspec.structs import replace

from app.errors import Unavailable
from app.services import stages
from schemas.stage import Claimed, Completed, Hint, Released, ReleasedToWorker, Transition
from workers.publish import publish
from workers.room import Room
from workers.slots import nothing

PIPELINES_MAX = 2
DEPENDENTS_MAX = 4
log = structlog.get_logger()


async def follow_up(room: Room, completed: Completed) -> None:
    """Release what these outcomes have made possible if it is little, begin with it, and tell of everything at once."""
    ids = [hint.pipeline_id for hint in completed.hints if hint.releasable]
    is_little = len(ids) <= PIPELINES_MAX and completed.dependents <= DEPENDENTS_MAX
    answer = await _release(room, ids) if ids and is_little else _left(ids)
    released, begun = answer.released, {claim.stage for claim in answer.claimed.claims}
    left = {*released.more, *released.locked}
    hints = list(_newest(chain(completed.hints, released.hints, answer.claimed.hints), left))
    queued = [stage for stage in released.queued if stage.stage not in begun]
    await publish(room.queue, Transition(hints=hints, queued=queued))


async def _release(room: Room, ids: list[int]) -> ReleasedToWorker:
    try:
        with room.offering() as offer:
            answer = await stages.release_to_worker(room.pool, ids, room.worker, offer.serves)
            offer.begin(answer)
    except Unavailable:
        return _left(ids)
    except Exception:  # a bug; outcomes that wait to be committed must not suffer for it, nor what was claimed again
        log.exception("release_failed")
        room.offering = nothing
        return _left(ids)
    return answer


def _left(ids: list[int]) -> ReleasedToWorker:
    return ReleasedToWorker(Released(more=ids), Claimed())


def _newest(hints: Iterable[Hint], left: set[int]) -> Iterator[Hint]:
    """One hint a pipeline; schedulers have to look at those that are left."""
    by_pipeline = {hint.pipeline_id: hint for hint in hints}
    return (replace(hint, releasable=hint.pipeline_id in left) for hint in by_pipeline.values())
