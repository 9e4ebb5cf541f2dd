"""One database for many tests, emptied before each: a tenth of the time that a fresh one takes."""

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from app.embedded import EmbeddedServer

_number = itertools.count(1)
_TABLES = (
    "failures",
    "stages",
    "pipelines",
    "dependencies",
    "attempts",
    "events",
    "checkpoints",
    "running_totals",
    "workers",
    "schedulers",
    "task_types",
    "stats_totals",
    "stats_minutes",
    "idempotency_keys",
    "periodic_tasks",
    "periodic_runs",
    "templates",
    "schedules",
    "artifacts_left",
)
EMPTY = "; ".join([*(f"DELETE FROM {table}" for table in _TABLES), "UPDATE queues SET paused_at = NULL"])


def url_of(server_url: str, name: str) -> str:
    """Where a database of a server is."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


@asynccontextmanager
async def database(postgres: EmbeddedServer, template: str) -> AsyncIterator[str]:
    """A migrated database of one's own, for as long as the block lasts."""
    name = f"own_{os.getpid()}_{next(_number)}"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield url_of(postgres.url, name)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture(scope="session")
async def shared_database_url(postgres: EmbeddedServer, template: str) -> AsyncIterator[str]:
    """A migrated database that tests use one after another."""
    async with database(postgres, template) as url:
        yield url


@pytest.fixture
async def database_url(shared_database_url: str) -> str:
    """The shared database, empty."""
    connection = await asyncpg.connect(shared_database_url)
    await connection.execute(EMPTY)
    await connection.close()
    return shared_database_url
