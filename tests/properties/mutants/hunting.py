"""Hunt a mutant: run the tests that should notice it, in a process of their own."""

import multiprocessing
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from functools import cache, partial
from pathlib import Path
from queue import SimpleQueue
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import NamedTuple

import pytest
import pytest_asyncio.plugin
import pytest_timeout

from app.embedded import start_postgres
from tests.properties.mutants import noticing
from tests.properties.mutants.mutant import ROOT, Mutant, mutated
from tests.properties.mutants.planting import STARTUP, plant

TEST = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
OPTIONS = (f"--rootdir={ROOT}", "-x", "-q", "--timeout=90", "-p", "no:cacheprovider", "--disable-plugin-autoload")
PLUGINS = (noticing, pytest_asyncio.plugin, pytest_timeout)
"""Those that the tests need, and not all that are installed."""
AT_ONCE = (os.cpu_count() or 1) + 1
"""One more than there are cores, because many tests wait for something most of the time."""
# What every session needs, and no mutant is a part of: it is imported once, and each session begins with it.
LIBRARIES = ("pytest", "pytest_asyncio.plugin", "pytest_timeout", "asyncpg", "arq.connections", "pydantic_settings")


class Hunt(NamedTuple):
    """How it went: which test noticed the defect, if any, or why nothing can be said; and all that pytest said."""

    noticed_by: str | None
    broken: str | None
    output: str


@cache
def places_of_tests() -> Mapping[str, tuple[str, ...]]:
    """Where each test is: the files by its name."""
    found: dict[str, tuple[str, ...]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in TEST.findall(file.read_text("utf-8")):
            found[name] = (*found.get(name, ()), str(file.relative_to(ROOT)))
    return found


def node_ids(one: Mutant) -> list[str]:
    """The tests that should notice it, as pytest wants them."""
    return [
        name if name.startswith("tests/") else f"{file}::{name}"
        for name in one.noticed_by
        for file in places_of_tests().get(name, (name,))
    ]


def hunt(one: Mutant, postgres_url: str) -> Hunt:
    """Run its tests with the defect; again, if one fails that should not be able to notice it.

    Raises:
        Misfit: it does not fit its file.

    """
    found = _hunt_once(one, postgres_url)
    return _hunt_once(one, postgres_url) if one.masked_by and found.noticed_by else found


def _hunt_once(one: Mutant, postgres_url: str) -> Hunt:
    mutated(one)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([*LIBRARIES])
    with NamedTemporaryFile() as output:
        session = processes.Process(target=_run, args=(one, postgres_url, output.name))
        session.start()
        session.join()
        return read(session.exitcode or 0, Path(output.name).read_text("utf-8"))


def _run(one: Mutant, postgres_url: str, output: str) -> None:
    """Be the process of one hunt. What its tests start plants the defect by ``sitecustomize``."""
    path = os.pathsep.join((str(STARTUP), str(ROOT)))
    os.environ |= {"MUTANT": one.name, "PYTHONPATH": path, "TEST_POSTGRES_URL": postgres_url}
    os.chdir(ROOT)
    plant(one)
    with Path(output).open("w", encoding="utf-8") as said, redirect_stdout(said), redirect_stderr(said):
        sys.exit(pytest.main([*OPTIONS, *node_ids(one)], plugins=PLUGINS))


def read(exit_code: int, output: str) -> Hunt:
    """Read what pytest and the plugin said."""
    lines = output.splitlines()
    nonsense = next((line for line in lines if line.startswith(noticing.CANNOT_RUN)), None)
    noticed = next((line for line in lines if line.startswith(noticing.NOTICED)), None)
    if nonsense or exit_code not in {0, 1} or (exit_code == 1) is (noticed is None):
        return Hunt(None, nonsense or f"pytest ended with {exit_code}", output)
    return Hunt(noticed and noticed.removeprefix(noticing.NOTICED), None, output)


def hunt_all(mutants: Iterable[Mutant]) -> Iterator[tuple[Mutant, Hunt]]:
    """Hunt them, a few at a time; answers come in the order given.

    Each of those few has a Postgres for itself, because some tests look at all transactions of the server.
    """
    chosen = list(mutants)
    with TemporaryDirectory() as directory, ExitStack() as undo, ThreadPoolExecutor(AT_ONCE) as pool:
        free: SimpleQueue[str] = SimpleQueue()
        for number in range(AT_ONCE):
            server = start_postgres(Path(directory) / str(number), durable=False)
            undo.callback(server.stop)
            free.put(server.url)
        yield from zip(chosen, pool.map(partial(_hunt_on_one_of, free), chosen), strict=True)


def _hunt_on_one_of(free: SimpleQueue[str], one: Mutant) -> Hunt:
    url = free.get()
    try:
        return hunt(one, url)
    finally:
        free.put(url)
