"""One installation for these tests, with two schedulers and two workers that are quick to look again."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.installation import Headway, Installation, show_logs


@pytest.fixture(scope="package")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """Whoever is faster does the work."""
    directory: Path = tmp_path_factory.mktemp("headway")
    async with Installation(directory, sweep_interval_s=0.2, task_modules="parts") as installation:
        installation.api()
        for _ in range(2):
            installation.scheduler()
            installation.worker()
        await installation.ready()
        yield installation


@pytest.fixture
async def headway(installation: Installation) -> AsyncIterator[Headway]:
    """A client of its API."""
    async with Headway(installation.url) as headway:
        yield headway


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the logs of the processes when a test has failed."""
    report = yield
    show_logs(item, report)
    return report
