"""Chaos on real processes, from the root of a checkout. Ends with 1 if anything happened that may never happen.

python -m tests.chaos.campaign                    every fault once, in a random order
python -m tests.chaos.campaign F1 F4 --seed 7     these, as they were played before
python -m tests.chaos.campaign --minutes 30       faults by two and three, for so long
python -m tests.chaos.campaign --break no_fence   with a planted defect, which must be found
python -m tests.chaos.campaign --list             the faults
"""

import argparse
import asyncio
import os
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[3]


def main() -> int:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="these, not all")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--minutes", type=float, help="mix the faults for so long")
    parser.add_argument("--break", dest="broken", metavar="NAME", help="plant this mutant of the catalogue")
    parser.add_argument("--list", action="store_true", help="print the faults and end")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave logs and data there")
    parser.add_argument("--celery", type=Path, metavar="PYTHON", help="strike arq and this Celery as well")
    options = parser.parse_args()
    if options.broken:
        _break(options.broken)
    from tests.chaos.campaign import run  # noqa: PLC0415 - what it imports may be planted

    if options.list:
        return run.list_faults()
    print(f"seed {options.seed}", flush=True)  # noqa: T201
    with TemporaryDirectory(prefix="hw-") as scratch:
        return asyncio.run(run.campaign(options.keep or Path(scratch), options))


def _break(name: str) -> None:
    from tests.properties.mutants.catalogue import named  # noqa: PLC0415
    from tests.properties.mutants.planting import STARTUP, plant  # noqa: PLC0415

    plant(named(name))
    os.environ |= {"MUTANT": name, "PYTHONPATH": os.pathsep.join((str(STARTUP), str(ROOT)))}


if __name__ == "__main__":
    sys.exit(main())
