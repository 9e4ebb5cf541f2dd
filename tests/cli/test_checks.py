"""The checks of ``headway doctor``: each says something, whatever its server does."""

import asyncio
import socket

import pytest

from app.commands import checks
from app.settings import Settings


@pytest.fixture
def frozen():
    """The address of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield "{}:{}".format(*listening.getsockname())


async def test_servers_that_say_nothing_are_told_in_time(frozen, monkeypatch):
    monkeypatch.setattr(checks, "TIMEOUT_S", 0.2)
    urls = {"database": f"postgresql://u@{frozen}/d", "redis": f"redis://{frozen}"}
    async with asyncio.timeout(10):
        found = [check async for check in checks.servers(urls, Settings())]
    assert [(check.name, check.status, check.detail) for check in found] == [
        ("postgres", "fail", "no answer within 0.2 s"),
        ("redis", "fail", "no answer within 0.2 s"),
    ]
