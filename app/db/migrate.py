"""Apply ``migrations/NNNN_name.sql`` in order: forward only, each in one transaction, under one advisory lock.

The advisory lock belongs to the session, so this needs a direct connection and not a transaction pooler.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from app.db.pool import Connection, Pool, connecting, connection, reachable
from app.errors import SetupError

FOLDER = Path(__file__).resolve().parents[2] / "migrations"
ADVISORY_LOCK = 0x6865616477  # "headw"
LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version     integer PRIMARY KEY,
    name        text NOT NULL,
    sha256      text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
)"""

# Needed where the database was restored from a dump; it is cheap, and who restores runs this command anyway.
CONTINUE_PLACES = """
DO $$ BEGIN
    IF to_regproc('continue_places') IS NOT NULL THEN PERFORM continue_places(); END IF;
END $$"""


@dataclass(frozen=True)
class Migration:
    """One numbered file; its checksum tells when it was edited after it had been applied."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Checksum of the file's text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    """Read the folder.

    Raises:
        SetupError: the numbers do not run 1, 2, 3 …

    """
    files = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    found = [Migration(int(file.stem[:4]), file.stem, file.read_text("utf-8")) for file in files]
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise SetupError(f"The migrations in {folder} must be numbered 0001, 0002, … without a gap.")
    return found


async def migrate(database_url: str, folder: Path = FOLDER) -> list[str]:
    """Bring the database up to date and return the names of what was applied; safe to call from many hosts at once.

    Raises:
        SetupError: the URL cannot be used, the database is newer than this code, or an applied file was edited.
        Unavailable: Postgres cannot be reached.

    """
    migrations = read_migrations(folder)
    with connecting():
        session = await asyncpg.connect(database_url, timeout=5)
    with reachable():
        try:
            await session.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
            await session.execute(LEDGER)
            applied = await session.fetch("SELECT version, name, sha256 FROM schema_migrations ORDER BY version")
            todo = _outstanding(migrations, applied)
            for migration in todo:
                await _apply(session, migration)
            await session.execute(CONTINUE_PLACES)
            return [migration.name for migration in todo]
        finally:
            await session.close()


async def _apply(session: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    async with session.transaction():
        await session.execute(migration.sql)
        await session.execute(
            "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)",
            migration.version,
            migration.name,
            migration.sha256,
        )


def _outstanding(migrations: list[Migration], applied: list[asyncpg.Record]) -> list[Migration]:
    known = {migration.version: migration for migration in migrations}
    for row in applied:
        if row["version"] not in known:
            raise SetupError(f"The database has migration {row['name']}, which this version of Headway does not know.")
        if known[row["version"]].sha256 != row["sha256"]:
            raise SetupError(f"Migration {row['name']} was edited after it had been applied; restore the file.")
    return [migration for migration in migrations if migration.version not in {row["version"] for row in applied}]


async def pending(pool: Pool, folder: Path = FOLDER) -> list[str]:
    """Name the migrations that the database still lacks.

    Raises:
        SetupError: as ``migrate``.
        Unavailable: Postgres cannot be reached.

    """
    migrations = read_migrations(folder)
    async with connection(pool) as session:
        return [migration.name for migration in _outstanding(migrations, await _applied(session))]


async def _applied(session: Connection) -> list[asyncpg.Record]:
    if await session.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return []
    return await session.fetch("SELECT version, name, sha256 FROM schema_migrations ORDER BY version")
