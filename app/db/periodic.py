"""Periodic tasks: slots taken, ended, listed and forgotten."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from app.db.pool import Connection
from app.db.queries import load
from schemas.periodic import PeriodicTask, SlotOutcome, TakenSlot

SQL = load("periodic")


async def take(c: Connection, worker: UUID, tasks: Mapping[str, tuple[int, float]]) -> list[TakenSlot]:
    """Take the slots that have begun, and that nobody else has, of tasks given as (interval, lease) by name."""
    intervals_s, leases_s = [interval_s for interval_s, _ in tasks.values()], [lease_s for _, lease_s in tasks.values()]
    answer = await c.fetchval(SQL["take"], worker, list(tasks), intervals_s, leases_s)
    return msgspec.json.decode(answer, type=list[TakenSlot])


async def finish(
    c: Connection,
    worker: UUID,
    taken: TakenSlot,
    outcome: SlotOutcome,
    *,
    done: int | None,
    error: Mapping[str, Any] | None,
) -> None:
    """A slot that the worker has taken is over, unless it was given up in the meantime."""
    told = None if error is None else msgspec.json.encode(error).decode()
    await c.execute(SQL["finish"], taken.name, taken.slot, worker, outcome, done, told)


async def every(c: Connection) -> list[PeriodicTask]:
    """All tasks, by name."""
    return msgspec.json.decode(await c.fetchval(SQL["all"]), type=list[PeriodicTask])


async def prune(c: Connection, kept_s: float) -> int:
    """Forget runs that are older; return how many."""
    pruned: int = await c.fetchval(SQL["prune"], kept_s)
    return pruned
