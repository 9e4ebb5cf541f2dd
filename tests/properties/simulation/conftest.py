"""One option: ``pytest tests/properties/simulation --seed N`` replays the schedule of one seed instead of many."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Without the option, as in a run of all tests, the campaign runs."""
    parser.addoption("--seed", type=int, default=None, help="replay this schedule of the simulator")
