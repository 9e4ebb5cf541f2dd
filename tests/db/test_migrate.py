"""Migrations: applied once, in order, whole or not at all."""

import asyncio
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from app.db.migrate import ADVISORY_LOCK, FOLDER, migrate, pending, read_migrations
from app.db.pool import open_pool
from app.errors import SetupError, Unavailable
from tests.support.locks import until

TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations'"

WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"


@pytest.fixture
async def empty_url(postgres):
    """A database that has never seen Headway."""
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("CREATE DATABASE unmigrated")
    yield urlunsplit(urlsplit(postgres.url)._replace(path="/unmigrated"))
    await connection.execute("DROP DATABASE unmigrated WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def c(empty_url):
    connection = await asyncpg.connect(empty_url)
    yield connection
    await connection.close()


@pytest.fixture
def folder(tmp_path):
    """Two small migrations."""
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (n integer); INSERT INTO first VALUES (1);")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE second AS SELECT n + 1 AS n FROM first;")
    (tmp_path / "schema.sql").write_text("SELECT 1 / 0; -- not a migration")
    return tmp_path


async def test_they_are_applied_in_order_and_once(empty_url, folder, c):
    assert await migrate(empty_url, folder) == ["0001_first", "0002_second"]
    assert await c.fetchval("SELECT n FROM second") == 2
    assert await migrate(empty_url, folder) == []
    (folder / "0003_third.sql").write_text("INSERT INTO first VALUES (3)")
    assert await migrate(empty_url, folder) == ["0003_third"]
    assert await c.fetchval("SELECT array_agg(n) FROM first") == [1, 3]


async def test_two_hosts_may_migrate_at_once(empty_url, folder, c):
    answers = await asyncio.gather(*(migrate(empty_url, folder) for _ in range(4)))
    assert sorted(map(len, answers)) == [0, 0, 0, 2]
    assert await c.fetchval("SELECT count(*) FROM first") == 1


async def test_a_migrator_waits_for_the_one_before_it(empty_url, folder, c):
    await c.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
    waiting = asyncio.create_task(migrate(empty_url, folder))
    await until(lambda: c.fetchval(WAITS))
    assert await c.fetchval("SELECT to_regclass('first')") is None
    await c.execute("SELECT pg_advisory_unlock_all()")
    assert await waiting == ["0001_first", "0002_second"]


async def test_a_failing_migration_leaves_nothing_and_what_came_before_it_stays(empty_url, folder, c):
    (folder / "0003_broken.sql").write_text("CREATE TABLE third (n integer); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_url, folder)
    assert await c.fetchval("SELECT to_regclass('third')") is None
    assert await c.fetchval("SELECT array_agg(name ORDER BY version) FROM schema_migrations") == [
        "0001_first",
        "0002_second",
    ]
    (folder / "0003_broken.sql").write_text("CREATE TABLE third (n integer)")
    assert await migrate(empty_url, folder) == ["0003_broken"]


async def test_a_migration_that_cannot_be_recorded_leaves_nothing(empty_url, folder, c):
    (folder / "0003_jealous.sql").write_text(
        "CREATE TABLE third (n integer); INSERT INTO schema_migrations VALUES (3, '0003_jealous', '')"
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await migrate(empty_url, folder)
    assert await c.fetchval("SELECT to_regclass('third')") is None


async def test_a_file_that_was_edited_after_it_was_applied_is_refused(empty_url, folder, c):
    await migrate(empty_url, folder)
    (folder / "0001_first.sql").write_text("CREATE TABLE first (n integer, m integer);")
    (folder / "0003_third.sql").write_text("CREATE TABLE third (n integer)")
    with pytest.raises(SetupError, match="0001_first was edited"):
        await migrate(empty_url, folder)
    assert await c.fetchval("SELECT to_regclass('third')") is None


async def test_a_database_that_is_newer_than_the_code_is_refused(empty_url, folder):
    await migrate(empty_url, folder)
    (folder / "0002_second.sql").unlink()
    with pytest.raises(SetupError, match="0002_second"):
        await migrate(empty_url, folder)


@pytest.mark.parametrize("name", ["0001_again.sql", "0004_later.sql"])
def test_a_gap_or_a_double_in_the_numbers_is_refused(folder, name: str):
    (folder / name).write_text("SELECT 1")
    with pytest.raises(SetupError, match="without a gap"):
        read_migrations(folder)


async def test_what_is_pending_is_named(empty_url, folder, c):
    pool = await open_pool(empty_url, max_size=2)
    assert await pending(pool, folder) == ["0001_first", "0002_second"]
    assert await c.fetchval("SELECT to_regclass('schema_migrations')") is None  # looking changes nothing
    await migrate(empty_url, folder)
    assert await pending(pool, folder) == []
    (folder / "0003_third.sql").write_text("SELECT 1")
    assert await pending(pool, folder) == ["0003_third"]
    pool.terminate()


async def test_the_real_ones_apply_to_an_empty_database(empty_url, c):
    names = [file.stem for file in sorted(FOLDER.glob("0*.sql"))]
    assert await migrate(empty_url) == names
    assert await c.fetchval(TABLES) > 5
    assert await c.fetchval("SELECT count(*) FROM installation") == 1
    assert await migrate(empty_url) == []


async def test_a_server_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(Unavailable):
        await migrate(f"postgresql://headway@/headway?host={tmp_path}&port=5432")
