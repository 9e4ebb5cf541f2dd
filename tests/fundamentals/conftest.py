"""One Headway of real processes for all of these tests, and a client that speaks to it.

It has two process slots, so two stages with a process of their own run at once.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.installation import Headway, Installation, show_logs
from tests.support.processes import Oracle


@pytest.fixture(scope="package")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """An API, a scheduler and a worker, with servers of their own."""
    directory = tmp_path_factory.mktemp("headway")
    async with Installation(directory, worker_concurrency=2, stage_log_bytes_max=5_000_000) as installation:
        installation.api()
        installation.scheduler()
        installation.worker()
        await installation.ready()
        yield installation


@pytest.fixture
async def headway(installation: Installation) -> AsyncIterator[Headway]:
    """A client of the installation's API; what a failed test has left running does not stand in the way of the next."""
    async with Headway(installation.url) as headway:
        yield headway
        await headway.cancel_what_runs()


@pytest.fixture
def oracle(tmp_path: Path) -> Oracle:
    """What the stages of the test say."""
    return Oracle(tmp_path / "oracle.log")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the logs of the processes when a test has failed."""
    report = yield
    show_logs(item, report)
    return report
