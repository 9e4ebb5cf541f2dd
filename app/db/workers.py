"""Workers and schedulers: leases, heartbeats, and what the installation says of itself."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from app.db.pool import Connection
from app.db.queries import load
from schemas.stage import Beat, Held
from schemas.worker import Fleet, Worker

SQL = load("workers")


async def register(
    c: Connection,
    worker: UUID,
    *,
    name: str,
    version: str,
    queues: Sequence[str],
    tasks: Sequence[str],
    slots: tuple[int, int],
    lease_timeout_s: float,
) -> None:
    """A worker process begins; ``slots`` are its process and inline slots."""
    await c.execute(SQL["register"], worker, name, version, list(queues), list(tasks), *slots, lease_timeout_s)


async def beat(c: Connection, worker: UUID, lease_timeout_s: float, held: Iterable[Held]) -> Beat:
    """Renew the lease and compare notes on what the worker holds."""
    answer = await c.fetchval(SQL["beat"], worker, lease_timeout_s, msgspec.json.encode(list(held)).decode())
    return msgspec.json.decode(answer, type=Beat)


async def leave(c: Connection, worker: UUID, state: str) -> None:
    """A worker is ``draining`` or has ``stopped``."""
    await c.execute(SQL["leave"], worker, state)


async def expire(c: Connection) -> int:
    """Take the leases that have run out; return how many."""
    expired: int = await c.fetchval(SQL["expire"])
    return expired


async def scheduler_beat(c: Connection, scheduler: UUID, name: str) -> None:
    """Say that a scheduler lives."""
    await c.execute(SQL["scheduler_beat"], scheduler, name)


async def scheduler_leave(c: Connection, scheduler: UUID) -> None:
    """Say that a scheduler has ended."""
    await c.execute(SQL["scheduler_leave"], scheduler)


async def holds_lease(c: Connection, name: str) -> bool:
    """Whether the worker process of this name takes work."""
    found: bool = await c.fetchval(SQL["holds_lease"], name)
    return found


async def alive(c: Connection, scheduler_age_s: float) -> tuple[int, int]:
    """How many workers hold a lease, and how many schedulers were seen within ``scheduler_age_s``."""
    row = await c.fetchrow(SQL["alive"], scheduler_age_s)
    return (row["workers"], row["schedulers"]) if row else (0, 0)


async def recent(c: Connection) -> list[Worker]:
    """Workers that hold a lease, then those that ended within the last hour; the newest of each first."""
    return msgspec.json.decode(await c.fetchval(SQL["recent"]), type=list[Worker])


async def fleet(c: Connection) -> Fleet:
    """All workers that hold a lease together."""
    return msgspec.json.decode(await c.fetchval(SQL["fleet"]), type=Fleet)


async def installation(c: Connection) -> UUID:
    """Which installation this database belongs to."""
    found: UUID = await c.fetchval(SQL["installation"])
    return found


async def is_new(c: Connection) -> bool:
    """Whether no worker has ever worked for this installation."""
    found: bool = await c.fetchval(SQL["is_new"])
    return found


async def durability(c: Connection) -> dict[str, str]:
    """The server settings that the promise of durability rests on."""
    return {row["name"]: row["setting"] for row in await c.fetch(SQL["durability"])}
