"""One ``headway up`` for the tests of a file."""

import signal
from collections.abc import Iterator

import pytest

from tests.cli.programs import Up


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("up")) as up:
        yield up
        assert up.end(signal.SIGTERM) == 0
