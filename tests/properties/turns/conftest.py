"""A database for the machines, and not that of the other tests: it becomes patient for good."""

from collections.abc import AsyncIterator

import pytest

from app.embedded import EmbeddedServer
from tests.support.database import database


@pytest.fixture(scope="module")
async def patient_url(postgres: EmbeddedServer, template: str) -> AsyncIterator[str]:
    async with database(postgres, template) as url:
        yield url
