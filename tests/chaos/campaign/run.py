"""Run a campaign: round after round in one world, and in a new one after a round in which something was found."""

import random
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from tests.chaos.campaign import report
from tests.chaos.campaign.fault import Fault
from tests.chaos.campaign.faults import FAULTS
from tests.chaos.campaign.peers.contest import contest
from tests.chaos.campaign.play import Round, play
from tests.chaos.campaign.world import World

TOGETHER = (2, 3)


def list_faults() -> int:
    """Print them."""
    for fault in sorted(FAULTS.values(), key=lambda fault: fault.number):
        _say(f"{fault.name:4} {fault.what}")
    return 0


async def campaign(directory: Path, options: Namespace) -> int:
    """Play, print and write; 1 if anything was found. With the Python of a Celery its peers are struck as well."""
    rng = random.Random(options.seed)
    conditions = report.conditions(options.seed, options.broken)
    skipped = {name: why for name, fault in FAULTS.items() if (why := fault.missing())}
    if unknown := [name for name in options.faults if name not in FAULTS]:
        _say(f"There is no fault {', '.join(unknown)}; --list prints all.")
        return 2
    chosen = [FAULTS[name] for name in options.faults or FAULTS if name not in skipped]
    rounds = _mixed(chosen, rng, options.minutes) if options.minutes else _once(chosen, rng)
    played = [each async for each in _play_all(directory, rounds, rng)]
    pythons = {"arq": Path(sys.executable), "celery": options.celery} if options.celery else {}
    outcomes = await contest(directory / "peers", pythons)
    path = report.publish(played, outcomes, skipped, conditions)
    _say(f"Kept in {path}.")
    return int(any(each.found for each in played))


def _once(chosen: Sequence[Fault], rng: random.Random) -> Iterator[list[Fault]]:
    order = list(chosen)
    rng.shuffle(order)
    yield from ([fault] for fault in order)


def _mixed(chosen: Sequence[Fault], rng: random.Random, minutes: float) -> Iterator[list[Fault]]:
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        order = rng.sample(chosen, len(chosen))
        mixed = {_room(fault): fault for fault in order if not fault.alone}  # one that strikes Redis, one that …
        yield [order[0]] if order[0].alone else list(mixed.values())[: rng.choice(TOGETHER)]


def _room(fault: Fault) -> str:
    return fault.deed.__module__


async def _play_all(directory: Path, rounds: Iterator[list[Fault]], rng: random.Random) -> AsyncIterator[Round]:
    number, stack, world = 0, AsyncExitStack(), None
    try:
        for chosen in rounds:
            if world is None:
                number += 1
                place = directory / str(number)
                place.mkdir(parents=True)
                world = await stack.enter_async_context(World(place, rng))
            each = await play(world, chosen)
            _tell(each)
            if each.found:
                await stack.aclose()
                stack, world = AsyncExitStack(), None
            yield each
    finally:
        await stack.aclose()


def _tell(each: Round) -> None:
    found = ", ".join(f"{counter} {count}" for counter, count in each.counters.items()) or "ok"
    _say(f"{each.name:12} {each.accepted:4} pipelines {each.seconds:5.1f} s  {found:30} {each.what}")
    for line in report.told([each], most=3):
        _say(f"    {line}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
