"""Hunt a mutant: run the tests that should notice it, in a process of their own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from app.embedded import start_postgres
from tests.properties.mutants.mutant import ROOT, Mutant, mutated
from tests.properties.mutants.noticing import CANNOT_RUN, NOTICED

STARTUP = ROOT / "tests" / "properties" / "mutants" / "startup"
TEST = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
# The plugins that the tests need, and not all that are installed: their imports would take most of the time.
PLUGINS = ("--disable-plugin-autoload", "-p", "pytest_asyncio.plugin", "-p", "pytest_timeout")
PYTEST = ("-m", "pytest", "-x", "-q", "--timeout=60", *PLUGINS, "-p", "tests.properties.mutants.noticing")


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
    """Run its tests with the defect.

    Raises:
        Misfit: it does not fit its file.

    """
    mutated(one)
    environment = os.environ | {
        "MUTANT": one.name,
        "PYTHONPATH": os.pathsep.join((str(STARTUP), str(ROOT))),
        "TEST_POSTGRES_URL": postgres_url,
    }
    command = [sys.executable, *PYTEST, *node_ids(one)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return read(done.returncode, done.stdout + done.stderr)


def read(exit_code: int, output: str) -> Hunt:
    lines = output.splitlines()
    nonsense = next((line for line in lines if line.startswith(CANNOT_RUN)), None)
    noticed = next((line.removeprefix(NOTICED) for line in lines if line.startswith(NOTICED)), None)
    if nonsense or exit_code not in {0, 1} or (exit_code == 1) is (noticed is None):
        return Hunt(None, nonsense or f"pytest ended with {exit_code}", output)
    return Hunt(noticed, None, output)


def hunt_all(mutants: Iterable[Mutant]) -> Iterator[tuple[Mutant, Hunt]]:
    """Hunt them on all cores; answers come in the order given."""
    chosen = list(mutants)
    with TemporaryDirectory() as directory, ThreadPoolExecutor(os.cpu_count()) as pool:
        server = start_postgres(Path(directory), durable=False)
        try:
            yield from zip(chosen, pool.map(partial(hunt, postgres_url=server.url), chosen), strict=True)
        finally:
            server.stop()
