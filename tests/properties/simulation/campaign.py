"""Many schedules on all cores; the same seeds give the same answers on any number of them."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.properties.simulation.run import run_seed

CHUNK = 1_000
FAILURES_SHOWN = 5


@dataclass
class Campaign:
    """How many schedules ran, in how many of them each kind of trouble was met, and which seeds broke a rule."""

    runs: int = 0
    met: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def workers() -> Executor:
    """Processes that begin from nothing, so that no state is shared."""
    return ProcessPoolExecutor(cores(), mp_context=get_context("spawn"))


def run_many(first: int, count: int) -> Campaign:
    """Run the schedules of so many seeds; a few failures are enough to stop."""
    campaign = Campaign()
    with workers() as pool:
        for part in pool.map(_run_chunk, _chunks(first, count)):
            campaign.runs += part.runs
            campaign.met += part.met
            campaign.failures |= part.failures
            if len(campaign.failures) >= FAILURES_SHOWN:
                pool.shutdown(cancel_futures=True)
                break
    return campaign


def _chunks(first: int, count: int) -> Iterator[range]:
    for start in range(first, first + count, CHUNK):
        yield range(start, min(start + CHUNK, first + count))


def _run_chunk(seeds: Iterable[int]) -> Campaign:
    campaign = Campaign()
    for seed in seeds:
        result = run_seed(seed)
        campaign.runs += 1
        campaign.met.update(result.met)
        if result.violation is not None:
            campaign.failures[seed] = result.violation
    return campaign
