"""Interleavings on the command line, from the root of a checkout; each call starts a Postgres of its own.

python -m tests.properties.interleaving SEED             the schedules of one seed, and the story of one that goes wrong
python -m tests.properties.interleaving SEED --shrink    the smallest schedule that goes wrong
python -m tests.properties.interleaving --seeds 20       so many seeds on all cores, and what they met

A seed has 100 schedules; --count asks for fewer or more.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from app.db.migrate import migrate
from app.embedded import start_postgres
from tests.properties.interleaving.campaign import COUNT, Campaign, run_many, run_schedules
from tests.properties.interleaving.sometimes import FLOORS, too_rare
from tests.properties.simulation.campaign import cores
from tests.support.database import url_of


def main() -> int:
    """Do what the arguments say; 1 if a rule was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int, nargs="?", default=0, help="the seed to play, or the first of many")
    parser.add_argument("--count", type=int, default=COUNT, help="schedules of the seed")
    parser.add_argument("--shrink", action="store_true", help="make a schedule that goes wrong small")
    parser.add_argument("--seeds", type=int, help="so many seeds on all cores")
    options = parser.parse_args()
    with _databases(cores() if options.seeds else 1) as urls:
        began = time.monotonic()
        if options.seeds:
            campaign = run_many(urls, range(options.seed, options.seed + options.seeds))
        else:
            campaign = run_schedules(urls[0], options.seed, options.count, shrink=options.shrink)
        told = tell(campaign, time.monotonic() - began)
    sys.stdout.write("\n".join([*told, *campaign.violations, ""]))
    return int(bool(campaign.violations))


def tell(campaign: Campaign, seconds: float) -> Iterator[str]:
    """How it went."""
    yield f"{campaign.schedules} schedules in {seconds:.0f} s, {campaign.schedules / seconds:.1f}/s"
    rare = too_rare(campaign.met, campaign.schedules)
    for name, times in sorted(campaign.met.items()):
        per = times * 1_000 / campaign.schedules
        yield f"  {name:28} {per:5.0f} per 1,000, at least {FLOORS.get(name, 0)}{', TOO RARE' * (name in rare)}"


@contextmanager
def _databases(count: int) -> Iterator[list[str]]:
    with TemporaryDirectory() as folder:
        server = start_postgres(Path(folder) / "pg", durable=False)
        try:
            names = [f"interleaving_{number}" for number in range(count)]
            urls = [url_of(server.url, name) for name in names]
            asyncio.run(_create(server.url, names, urls))
            yield urls
        finally:
            server.stop()


async def _create(url: str, names: list[str], urls: list[str]) -> None:
    c = await asyncpg.connect(url)
    for name in names:
        await c.execute(f"CREATE DATABASE {name}")
    await c.close()
    for each in urls:
        await migrate(each)


if __name__ == "__main__":
    sys.exit(main())
