"""A Headway of its own for each test, because something in it is going to be killed, and a client that speaks to it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.installation import Headway, Installation, show_logs
from tests.support.processes import Oracle


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    """Servers, an API and a scheduler; the test starts its workers."""
    async with Installation(tmp_path, worker_concurrency=2) as installation:
        installation.api()
        installation.scheduler()
        yield installation


@pytest.fixture
async def headway(installation: Installation) -> AsyncIterator[Headway]:
    """A client of the installation's API."""
    async with Headway(installation.url) as headway:
        yield headway


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the tests have measured."""
    reports = terminalreporter.getreports("passed")
    for name, value in [entry for report in reports if report.when == "call" for entry in report.user_properties]:
        terminalreporter.write_line(f"{name}: {value}")
