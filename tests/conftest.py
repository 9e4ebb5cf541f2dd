"""Real servers for every test: one Postgres and one Valkey a session, a fresh database and key prefix a test."""

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from arq.connections import ArqRedis

from app.db.migrate import migrate
from app.db.pool import Pool, open_pool
from app.embedded import EmbeddedServer, start_postgres, start_valkey
from app.queue import JobQueue, open_redis
from app.settings import Settings

_number = itertools.count(1)


@dataclass(frozen=True)
class RunningServer:
    """A server that was started by somebody else."""

    url: str


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer | RunningServer]:
    """A real Postgres; a power cut may cost its data, nothing else does.

    ``TEST_POSTGRES_URL`` names one that runs already, which saves a second where there are many sessions.
    """
    if url := os.environ.get("TEST_POSTGRES_URL"):
        yield RunningServer(url)
        return
    server = start_postgres(tmp_path_factory.mktemp("pg"), durable=False)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A real Valkey."""
    server = start_valkey(tmp_path_factory.mktemp("kv"))
    yield server
    server.stop()


def _with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@pytest.fixture(scope="session")
async def template(postgres: EmbeddedServer) -> AsyncIterator[str]:
    """A migrated database that the tests' databases are copies of."""
    name = f"template_{os.getpid()}"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE {name}")
    await migrate(_with_database(postgres.url, name))
    yield name
    await connection.execute(f"DROP DATABASE {name}")
    await connection.close()


@pytest.fixture
async def database_url(postgres: EmbeddedServer, template: str) -> AsyncIterator[str]:
    """A fresh, migrated database of the test's own."""
    name = f"test_{os.getpid()}_{next(_number)}"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield _with_database(postgres.url, name)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to the test's database."""
    pool = await open_pool(database_url, max_size=5)
    yield pool
    pool.terminate()


@pytest.fixture
async def redis(valkey: EmbeddedServer) -> AsyncIterator[ArqRedis]:
    """A client of an empty Valkey."""
    redis = open_redis(valkey.url)
    await redis.flushall()
    yield redis
    await redis.aclose(close_connection_pool=True)


@pytest.fixture
def queue(redis: ArqRedis) -> JobQueue:
    """The job queue of the test."""
    return JobQueue(redis, prefix="headway")


@pytest.fixture
def settings(database_url: str, valkey: EmbeddedServer, redis: ArqRedis, tmp_path: Path) -> Settings:
    """Settings for real processes and rooms under test: fast leases, the test's own servers and directory."""
    return Settings(
        database_url=database_url,
        redis_url=valkey.url,
        data_dir=tmp_path / "data",
        lease_timeout_s=3,
        heartbeat_interval_s=1,
        sweep_interval_s=0.5,
        cancel_grace_s=1,
        drain_timeout_s=5,
    )
