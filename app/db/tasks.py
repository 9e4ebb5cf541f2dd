"""Tasks: the types that workers have registered, and stages seen on their own."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec
from msgspec import Struct

from app.db.pool import Connection, Record
from app.db.queries import load
from schemas.states import StageStatus
from schemas.task import Task, TaskPlace, TaskResult, TaskSummary, TaskType

SQL = load("tasks")
WALKED_MAX = 5_000
"""How many stages a page looks at, on each of its walks, before it is given out short."""
PAGE_BYTES = 8 * 1024 * 1024

LOSSES = ["loss", "train_loss", "training_loss", "train/loss", "val_loss", "eval_loss"]
"""What the loss of a training is called; the first of these that it reports is shown."""

Key = tuple[int, int]
"""A stage's pipeline and its position there, which is also its age."""
LAST: Key = (2**63 - 1, 2**31 - 1)


class Selection(Struct, frozen=True, kw_only=True):
    """Which tasks a list is about; None lets everything pass."""

    statuses: Sequence[StageStatus] | None = None
    task: str | None = None
    queue: str | None = None
    pipeline_id: int | None = None

    @property
    def walks(self) -> list[StageStatus | None]:
        """Along what to look: each of the statuses, or everything, since those that completed have no index."""
        everything = self.statuses is None or StageStatus.COMPLETED in self.statuses
        return [None] if everything else [*dict.fromkeys(self.statuses or ())]


class Found(Struct, frozen=True):
    """A task, its key, and what is needed to say why it waits: its pipeline's status, and whom it waits for."""

    key: Key
    task: TaskSummary
    pipeline_status: str
    awaited: frozenset[str]


async def register(c: Connection, task_types: Iterable[TaskType]) -> None:
    """Store the types, replacing older versions of the same names."""
    await c.execute(SQL["register"], msgspec.json.encode(list(task_types)).decode())


async def registered(c: Connection, project: str) -> list[TaskType]:
    """All types, by name."""
    return msgspec.json.decode(await c.fetchval(SQL["registered"], project), type=list[TaskType])


async def pipeline_id(c: Connection, pipeline: UUID) -> int | None:
    """The number of a pipeline; None if there is no such one."""
    number: int | None = await c.fetchval(SQL["pipeline"], pipeline)
    return number


async def page(c: Connection, selection: Selection, after: Key, limit: int) -> tuple[list[Found], Key | None]:
    """At most ``limit`` tasks from behind ``after``, newest first, and behind which to go on; None after the last.

    The work is bounded, and so is the size: a page may be short, even empty, and yet not be the last.
    """
    walked = await c.fetch(SQL["walk"], *_walk(selection, after), limit + 1, WALKED_MAX)
    # Where the first walk has stopped, the others have seen more: what lies behind is for the next page.
    stop = max((_key(row) for row in walked if row["stopped"]), default=None)
    keys = sorted((_key(row) for row in walked if row["matched"] and (stop is None or _key(row) >= stop)), reverse=True)
    shown = await items(c, keys[:limit])
    last = shown[-1].key if shown else next(iter(keys[limit - 1 : limit]), None)
    return shown, last if last is not None and last > keys[-1] else stop


def _walk(selection: Selection, after: Key) -> tuple[object, ...]:
    filters = (selection.walks, selection.statuses, selection.task, selection.queue)
    if selection.pipeline_id is None:
        return (*filters, *after, 0)
    return (*filters, *min(after, (selection.pipeline_id, LAST[1])), selection.pipeline_id)


async def items(c: Connection, keys: Sequence[Key]) -> list[Found]:
    """These tasks, or the first of them if they are very large together."""
    pipeline_ids, positions = [key[0] for key in keys], [key[1] for key in keys]
    rows = await c.fetch(_ITEMS, pipeline_ids, positions, PAGE_BYTES)
    return [_found(row) for row in rows]


async def get(c: Connection, task: UUID) -> tuple[Task, str, frozenset[str]] | None:
    """Everything about one task, and what is needed to say why it waits; None if there is no such task."""
    row = await c.fetchrow(_GET, task, LOSSES)
    if row is None:
        return None
    return msgspec.json.decode(row["item"], type=Task), row["pipeline_status"], frozenset(row["awaited"] or ())


async def result(c: Connection, task: UUID) -> TaskResult | None:
    """How a task is, with its result or its error; None if there is no such task."""
    found = await c.fetchval(SQL["result"], task)
    return None if found is None else msgspec.json.decode(found, type=TaskResult)


async def place(c: Connection, task: UUID) -> TaskPlace | None:
    """Where a task is in its life; None if there is no such task."""
    found = await c.fetchval(SQL["place"], task)
    return None if found is None else msgspec.json.decode(found, type=TaskPlace)


def _key(row: Record) -> Key:
    return row["pipeline_id"], row["position"]


def _found(row: Record) -> Found:
    task = msgspec.json.decode(row["item"], type=TaskSummary)
    return Found(_key(row), task, row["pipeline_status"], frozenset(row["awaited"] or ()))


_ITEMS, _GET = (
    SQL[name].replace("{item}", SQL["item"]).replace("{around}", SQL["around"]) for name in ("items", "get")
)
