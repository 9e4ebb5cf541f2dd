"""Create calls that may be repeated: the same key and the same request give the same pipeline, for 24 hours."""

from uuid import UUID

from msgspec import Struct

from app.core.plan import Plan
from app.db import idempotency as db
from app.db import pipelines as db_pipelines
from app.db.pool import Pool, Taken, connection
from app.errors import Gone, KeyInFlight, KeyReused
from app.services.pipelines import DEFAULT_PROJECT, rows, uuid7
from schemas.idempotency import IdempotencyKey
from schemas.limits import IDEMPOTENCY_KEPT_S
from schemas.stage import Transition


class Created(Struct, frozen=True):
    """What came of a create call; ``replayed`` if an earlier call of the same key has done it."""

    pipeline: UUID
    transition: Transition = Transition()
    replayed: bool = False


async def create(pool: Pool, plan: Plan, key: IdempotencyKey | None, *, project: str = DEFAULT_PROJECT) -> Created:
    """Submit a pipeline, unless that has been done. The caller dispatches what the transition names.

    It has been done under the same key; or, if the client has chosen a uuid, when there is a pipeline under it.

    Raises:
        KeyInFlight: another call with the key has not ended.
        KeyReused: the key came with another request before.
        Gone: what the key stood for has been deleted.

    """
    uuid = plan.uuid or uuid7()
    spec, edges = rows(plan, uuid, project)
    async with connection(pool) as c:
        try:
            if key is None:
                return Created(uuid, await db_pipelines.create(c, spec, edges))
            answer = await db.create_once(c, key, IDEMPOTENCY_KEPT_S, spec, edges)
        except Taken:
            return Created(uuid, replayed=True)
    if answer.in_flight:
        raise KeyInFlight("A request with this Idempotency-Key is being worked on; repeat it in a moment.")
    if not answer.known:
        return Created(uuid, answer)
    if known := await find(pool, key, project=project):
        return known
    raise KeyInFlight("This Idempotency-Key expired just now; repeat the request.")


async def find(pool: Pool, key: IdempotencyKey, *, project: str = DEFAULT_PROJECT) -> Created | None:
    """What an earlier call of the same request has created under the key, or None.

    Raises:
        KeyReused: the key came with another request.
        Gone: what it created has been deleted.

    """
    async with connection(pool) as c:
        known = await db.find(c, project, key)
    if known is None:
        return None
    if known.fingerprint != key.fingerprint:
        raise KeyReused("This Idempotency-Key came with another request before; use a new key for a new request.")
    if not known.is_there:
        raise Gone(f"Pipeline {known.pipeline}, which was created under this Idempotency-Key, has been deleted.")
    return Created(known.pipeline, replayed=True)


async def prune(pool: Pool, batch: int) -> int:
    """Forget up to ``batch`` keys that have expired; return how many."""
    async with connection(pool) as c:
        return await db.prune(c, batch)
