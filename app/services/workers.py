"""Workers and schedulers: who is alive, and the leases that say so."""

import socket
from collections.abc import Iterable, Sequence
from uuid import UUID

from app.db import workers as db
from app.db.pool import Pool, connection
from app.errors import SetupError
from schemas.stage import Beat, Held
from schemas.worker import Worker


async def register(
    pool: Pool,
    worker: UUID,
    *,
    name: str,
    version: str,
    queues: Sequence[str],
    tasks: Sequence[str],
    slots: tuple[int, int],
    lease_timeout_s: float,
) -> None:
    """Begin one incarnation of a worker process, under a fresh lease."""
    async with connection(pool) as c:
        await db.register(
            c,
            worker,
            name=name,
            version=version,
            queues=queues,
            tasks=tasks,
            slots=slots,
            lease_timeout_s=lease_timeout_s,
        )


async def beat(pool: Pool, worker: UUID, lease_timeout_s: float, held: Iterable[Held]) -> Beat:
    """Renew a worker's lease; the answer says what to stop."""
    async with connection(pool) as c:
        return await db.beat(c, worker, lease_timeout_s, held)


async def leave(pool: Pool, worker: UUID, state: str) -> None:
    """A worker is ``draining``, or has ``stopped``."""
    async with connection(pool) as c:
        await db.leave(c, worker, state)


async def expire(pool: Pool) -> int:
    """Take the leases that have run out; return how many."""
    async with connection(pool) as c:
        return await db.expire(c)


async def scheduler_beat(pool: Pool, scheduler: UUID, name: str) -> None:
    """Say that a scheduler lives."""
    async with connection(pool) as c:
        await db.scheduler_beat(c, scheduler, name)


async def scheduler_leave(pool: Pool, scheduler: UUID) -> None:
    """Say that a scheduler has ended."""
    async with connection(pool) as c:
        await db.scheduler_leave(c, scheduler)


def name_of(pid: int) -> str:
    """What a process of this host is called."""
    return f"{socket.gethostname()}:{pid}"


async def holds_lease(pool: Pool, name: str) -> bool:
    """Whether the worker process of this name takes work."""
    async with connection(pool) as c:
        return await db.holds_lease(c, name)


async def alive(pool: Pool, scheduler_age_s: float = 15) -> tuple[int, int]:
    """How many workers hold a lease, and how many schedulers were seen within ``scheduler_age_s``."""
    async with connection(pool) as c:
        return await db.alive(c, scheduler_age_s)


async def recent(pool: Pool) -> list[Worker]:
    """Workers that hold a lease, then those that ended within the last hour; the newest of each first."""
    async with connection(pool) as c:
        return await db.recent(c)


async def installation(pool: Pool) -> UUID:
    """Which installation the database belongs to."""
    async with connection(pool) as c:
        return await db.installation(c)


async def is_new(pool: Pool) -> bool:
    """Whether no worker has ever worked for this installation."""
    async with connection(pool) as c:
        return await db.is_new(c)


async def require_durability(pool: Pool) -> None:
    """Check that a committed transaction survives a crash of the server.

    Raises:
        SetupError: a server setting gives that up.

    """
    async with connection(pool) as c:
        off = [name for name, setting in (await db.durability(c)).items() if setting == "off"]
    if off:
        raise SetupError(f"Postgres runs with {', '.join(off)} = off, so accepted work could be lost. Turn it on.")
