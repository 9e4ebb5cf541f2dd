"""Databases that schedules may have for themselves, and the emptied one for the named cases."""

import itertools

import asyncpg
import pytest

from tests.support.database import database_url, shared_database_url, url_of

__all__ = ["database_url", "shared_database_url"]
_number = itertools.count(1)


@pytest.fixture(scope="module")
async def make_database(postgres, template):
    """A function that makes a migrated database."""
    c = await asyncpg.connect(postgres.url)
    made = []

    async def make() -> str:
        made.append(f"interleaving_{next(_number)}")
        await c.execute(f"CREATE DATABASE {made[-1]} TEMPLATE {template}")
        return url_of(postgres.url, made[-1])

    yield make
    for name in made:
        await c.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await c.close()
