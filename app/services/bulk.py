"""Bulk actions: the verbs on one pipeline, for many, each in its own transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

from msgspec import UNSET, Struct

from app.core.cursor import read_cursor, write_cursor
from app.db import selection as db
from app.db.pool import Pool, connection
from app.db.selection import Key
from app.errors import HeadwayError
from app.services import pipelines, selection
from schemas.bulk import BulkVerb, PipelineFilter
from schemas.limits import BULK_MAX
from schemas.stage import Transition
from schemas.states import PipelineStatus

AT_ONCE = 4
LOOK_AT_MAX = 1_000_000


class Selected(Struct, frozen=True):
    """The pipelines that are meant, oldest first, as they were when they were selected.

    ``missing`` are the uuids that name none; ``keys`` are the places of the pipelines; ``behind`` is where to go on.
    """

    pipelines: dict[UUID, PipelineStatus]
    missing: list[UUID]
    keys: list[Key]
    behind: Key | None

    def cursor_behind(self, count: int) -> str | None:
        """Where to go on after the first ``count`` of them; None if there is nothing more."""
        key = self.behind if count == len(self.keys) else self.keys[count - 1]
        return None if key is None else write_cursor(key)


class Done(Struct, frozen=True):
    """What became of one pipeline: a transition to announce, or why it was refused."""

    pipeline: UUID
    transition: Transition = Transition()
    refusal: HeadwayError | None = None


async def select(
    pool: Pool, wanted: PipelineFilter, cursor: str | None, *, project: str = pipelines.DEFAULT_PROJECT
) -> Selected:
    """The next pipelines that match, ``BULK_MAX`` at most.

    Raises:
        InvalidRequest: the cursor is none of ours, or a time is beyond the calendar.

    """
    behind = None if cursor is None else read_cursor(cursor, Key)
    found, behind = await selection.select(
        pool, project, wanted, behind=behind, limit=BULK_MAX, look_at_max=LOOK_AT_MAX
    )
    missing = []
    if wanted.uuids is not UNSET and cursor is None:
        present = await statuses(pool, wanted.uuids, project=project)
        missing = [uuid for uuid in dict.fromkeys(wanted.uuids) if uuid not in present]
    return Selected({each.uuid: each.status for each, _ in found}, missing, [key for _, key in found], behind)


async def act(pool: Pool, verb: BulkVerb, uuids: Sequence[UUID]) -> list[Done]:
    """Do it to each of them, a few at a time; the answers are in the same order."""
    answers: dict[UUID, Done] = {}
    waiting = iter(uuids)

    async def work() -> None:
        for uuid in waiting:
            answers[uuid] = await _act_on(pool, verb, uuid)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())
    return [answers[uuid] for uuid in uuids]


async def _act_on(pool: Pool, verb: BulkVerb, uuid: UUID) -> Done:
    try:
        return Done(uuid, await _VERBS[verb](pool, uuid) or Transition())
    except HeadwayError as refusal:
        return Done(uuid, refusal=refusal)


async def statuses(
    pool: Pool, uuids: Sequence[UUID], *, project: str = pipelines.DEFAULT_PROJECT
) -> dict[UUID, PipelineStatus]:
    """How these pipelines are; one that is not there is left out."""
    async with connection(pool) as c:
        return await db.statuses(c, project, uuids)


_VERBS: Mapping[BulkVerb, Callable[[Pool, UUID], Awaitable[Transition | None]]] = {
    BulkVerb.CANCEL: pipelines.cancel,
    BulkVerb.RETRY: pipelines.retry,
    BulkVerb.DELETE: pipelines.delete,
}
