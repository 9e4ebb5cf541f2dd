"""A plugin of pytest for a hunt: says at the end which test has noticed the defect."""

import os

import asyncpg
import pytest

from tests.properties.mutants.planting import planted

NOTICED, CANNOT_RUN = "noticed by ", "cannot run: "
NONSENSE = (asyncpg.SyntaxOrAccessError, NameError, ImportError, SyntaxError)
"""What a mutant meets that is no program at all. It is to be found by what it does, not because it cannot."""
_told: list[str] = []


def pytest_configure() -> None:
    """Nothing is proven by a mutant that was not planted."""
    assert planted == [os.environ["MUTANT"]]


def pytest_exception_interact(call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """A test has failed."""
    error = call.excinfo and call.excinfo.value
    _told.append(f"{CANNOT_RUN}{error!r}" if isinstance(error, NONSENSE) else NOTICED + report.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it."""
    terminalreporter.write_line("")
    for line in _told:
        terminalreporter.write_line(line.replace("\n", " "))
