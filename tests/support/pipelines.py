"""Pipelines for tests: a line to submit one, a line to look at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from app.core.plan import Plan, PlannedStage
from app.db import stages as db
from app.db.pool import Pool
from app.services import events, pipelines, stages
from schemas.queue import Queue, Slot
from schemas.stage import QueuedStage, Released

Shape = Mapping[str, Sequence[str]]
"""Stages by name, each with the names it waits for."""

ONE: Shape = {"a": ()}
PAIR: Shape = {"a": (), "b": ()}
CHAIN: Shape = {"a": (), "b": ("a",), "c": ("b",)}
DIAMOND: Shape = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}

EVERYTHING = """
SELECT text FROM (
    SELECT 1, p::text AS text FROM pipelines AS p WHERE id = $1
    UNION ALL SELECT 2, s::text FROM stages AS s WHERE pipeline_id = $1
    UNION ALL SELECT 3, d::text FROM dependencies AS d WHERE pipeline_id = $1
    UNION ALL SELECT 4, a::text FROM attempts AS a WHERE pipeline_id = $1
    UNION ALL SELECT 5, e::text FROM events AS e WHERE pipeline_id = $1
    UNION ALL SELECT 6, c::text FROM checkpoints AS c WHERE pipeline_id = $1
    UNION ALL SELECT 7, f::text FROM failures AS f WHERE pipeline_id = $1
) AS rows (place, text) ORDER BY place, text"""


def fan(width: int) -> Shape:
    """Stages that wait for nothing."""
    return {f"s{number}": () for number in range(width)}


def chain(length: int) -> Shape:
    """Stages that wait for the one before."""
    return {f"s{number}": (f"s{number - 1}",) if number else () for number in range(length)}


def a_plan(
    shape: Shape = ONE,
    *,
    start: bool = True,
    priority: int = 5,
    name: str = "digits",
    of: Mapping[str, Mapping[str, Any]] | None = None,
    **stage: Any,
) -> Plan:
    """A plan of this shape; ``stage`` sets fields of all its stages, ``of`` those of single ones by name."""
    fields = {
        "task": "noop",
        "queue": Queue.DEFAULT,
        "slot": Slot.INLINE,
        "params": {},
        "references": {},
        "max_retries": 0,
        "retry_delay_s": 0.0,
        "timeout_s": 60.0,
        **stage,
    }
    own = of or {}
    planned = [
        PlannedStage(name=each, depends_on=list(awaited), **fields | own.get(each, {}))
        for each, awaited in shape.items()
    ]
    return Plan(name=name, description="", priority=priority, labels={}, start=start, stages=planned)


@dataclass(frozen=True)
class Submitted:
    """A pipeline in Postgres, and what tests want to know of it."""

    pool: Pool
    uuid: UUID
    id: int

    async def row(self) -> asyncpg.Record:
        """All columns of it."""
        found = await self.pool.fetchrow("SELECT * FROM pipelines WHERE id = $1", self.id)
        assert found is not None
        return found

    async def status(self) -> str:
        """How it is."""
        return (await self.row())["status"]

    async def stage(self, name: str = "a") -> asyncpg.Record:
        """All columns of one of its stages."""
        query = "SELECT * FROM stages WHERE pipeline_id = $1 AND name = $2"
        found = await self.pool.fetchrow(query, self.id, name)
        assert found is not None
        return found

    async def statuses(self) -> dict[str, str]:
        """How its stages are, by name."""
        query = "SELECT name, status FROM stages WHERE pipeline_id = $1 ORDER BY position"
        return dict(await self.pool.fetch(query, self.id))

    async def outcomes(self, name: str = "a") -> list[str | None]:
        """How the attempts of a stage ended, first to last."""
        query = "SELECT outcome FROM attempts WHERE pipeline_id = $1 AND position = $2 ORDER BY attempt"
        position = (await self.stage(name))["position"]
        return [row["outcome"] for row in await self.pool.fetch(query, self.id, position)]

    async def history(self, *, after: int = 0) -> list[str]:
        """Its events as ``pipeline.started`` and ``stage.queued a``, in order."""
        query = "SELECT type, subject FROM events WHERE pipeline_id = $1 AND seq > $2 ORDER BY seq"
        return [" ".join(filter(None, row)) for row in await self.pool.fetch(query, self.id, after)]

    async def seq(self) -> int:
        """The number of its last event."""
        return (await self.row())["last_seq"]

    async def told(self, event_type: str) -> dict[str, Any]:
        """The data of its last event of this type."""
        found, _ = await events.read(self.pool, self.uuid, after=0)
        return [event.data for event in found if event.type == event_type][-1]

    async def everything(self) -> list[str]:
        """Every row of it in every table: the same twice if nothing has changed between."""
        return [row["text"] for row in await self.pool.fetch(EVERYTHING, self.id)]

    async def release(self) -> Released:
        """The second act."""
        return await stages.release(self.pool, [self.id])

    async def set(self, **columns: Any) -> None:
        """Change columns behind the protocol's back."""
        names = ", ".join(f"{name} = ${place}" for place, name in enumerate(columns, 2))
        await self.pool.execute(f"UPDATE pipelines SET {names} WHERE id = $1", self.id, *columns.values())


async def submit(pool: Pool, shape: Shape = ONE, **options: Any) -> Submitted:
    """Store a pipeline of this shape, and start it unless told otherwise; for the options see ``a_plan``."""
    uuid, _ = await pipelines.create(pool, a_plan(shape, **options))
    return await submitted(pool, uuid)


async def submitted(pool: Pool, uuid: UUID | str) -> Submitted:
    """A pipeline that was submitted in another way."""
    uuid = UUID(str(uuid))
    return Submitted(pool, uuid, await pool.fetchval("SELECT id FROM pipelines WHERE uuid = $1", uuid))


async def all_queued(pool: Pool) -> list[QueuedStage]:
    """Everything that is queued in running pipelines, oldest first."""
    return await stages.queued_after(pool, db.FIRST, min_age_s=-1, limit=10_000)
