"""Connections to Postgres.

Nothing here leaves state in a session, so everything works behind a transaction pooler (one that predates
protocol-level prepared statements needs ``HEADWAY_DATABASE_PREPARED_STATEMENTS=false``).
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import asyncpg

from app.errors import Conflict, SetupError, Unavailable
from app.log import mask_passwords

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Record: TypeAlias = asyncpg.Record
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | Session"

# What a caller meets when Postgres is away, restarting, full or contended: the same call may work in a moment.
UNREACHABLE = (
    OSError,  # TimeoutError included
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # as when its connection is cut in the middle of an answer
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, in the middle of a failover
)
# What Postgres refuses to store, SQLSTATE classes 22 and 23: the caller's data is at fault.
BAD_DATA = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


class Taken(Exception):
    """Something unique is there already."""


@contextmanager
def unless_taken() -> Iterator[None]:
    """Turn what Postgres says of a second one into ``Taken``.

    Raises:
        Conflict: there was one, and its files are not gone yet.

    """
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise Taken(error.constraint_name) from error
    except asyncpg.ObjectInUseError as error:
        raise Conflict(
            "The artifacts of a deleted pipeline with this uuid are still being removed; try again when they are gone."
        ) from error


@contextmanager
def reachable() -> Iterator[None]:
    """Turn the many ways in which Postgres can be away into one ``Unavailable``."""
    try:
        yield
    except UNREACHABLE as error:
        if isinstance(error, ValueError):  # asyncpg's word for an argument it cannot encode: a bug, not an outage
            raise
        raise Unavailable("Postgres does not answer just now; try again in a moment.") from error


@contextmanager
def connecting() -> Iterator[None]:
    """As ``reachable``; and what no second attempt would change is a fault of the set-up."""
    with reachable():
        try:
            yield
        except ValueError as error:  # asyncpg's word for a URL that it does not understand
            raise SetupError(
                f"HEADWAY_DATABASE_URL cannot be used: {mask_passwords(str(error)).rstrip('.')}."
            ) from None
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise SetupError(f"Postgres refuses the connection: {error}. See HEADWAY_DATABASE_URL.") from None


async def open_pool(database_url: str, *, max_size: int, prepared_statements: bool = True) -> Pool:
    """Open a pool of at most ``max_size`` connections.

    Raises:
        Unavailable: Postgres cannot be reached.
        SetupError: the URL cannot be used, or is refused.

    """
    with connecting():
        return await asyncpg.create_pool(
            database_url,
            min_size=1,
            max_size=max_size,
            timeout=5,
            command_timeout=30,
            statement_cache_size=100 if prepared_statements else 0,
            server_settings={"application_name": "headway"},
            reset=_keep,
        )


async def _keep(_connection: object) -> None:
    """Nothing to reset, as nothing is left in a session; asyncpg's own reset is a round trip each time."""


async def open_session(database_url: str) -> Session:
    """Open one connection of its own, outside any pool.

    Raises:
        Unavailable: Postgres cannot be reached.
        SetupError: the URL cannot be used, or is refused.

    """
    with connecting():
        return await asyncpg.connect(database_url, timeout=5, statement_cache_size=0)


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    """Borrow a connection.

    Raises:
        Unavailable: none is free within 5 s, or Postgres went away while it was in use.

    """
    with reachable():
        async with pool.acquire(timeout=5) as borrowed:
            yield borrowed
