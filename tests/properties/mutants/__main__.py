"""The hunt for planted defects of the real code, from the root of a checkout.

python -m tests.properties.mutants               all of them
python -m tests.properties.mutants NAME…         these
python -m tests.properties.mutants NAME --show   with what pytest said
"""

import argparse
import sys
import time

from tests.properties.mutants import catalogue
from tests.properties.mutants.hunting import Hunt, hunt_all
from tests.properties.mutants.mutant import Mutant


def main() -> int:
    """Do what the arguments say; 1 if a mutant behaves otherwise than it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="hunt these, not all")
    parser.add_argument("--show", action="store_true", help="print what pytest said")
    options = parser.parse_args()
    began, bad = time.monotonic(), 0
    chosen = [catalogue.named(name) for name in options.names] or catalogue.ALL
    for one, found in hunt_all(chosen):
        expected = is_expected(one, found)
        bad += not expected
        _say(f"{'ok ' if expected else 'BAD'} {one.name:38} {_told(one, found)}")
        if options.show or found.broken:
            _say(found.output)
    masked = sum(one.masked_by is not None for one in chosen)
    seconds = time.monotonic() - began
    _say(f"{len(chosen) - masked} to be noticed, {masked} masked, {bad} otherwise than expected, in {seconds:.0f} s")
    return int(bad > 0)


def is_expected(one: Mutant, found: Hunt) -> bool:
    """A killable mutant is noticed, a masked one is not, and both can run."""
    return found.broken is None and (found.noticed_by is None) is (one.masked_by is not None)


def _told(one: Mutant, found: Hunt) -> str:
    if found.broken:
        return found.broken
    told = f"noticed by {found.noticed_by}" if found.noticed_by else "survived"
    return f"{told}; masked by {one.masked_by}" if one.masked_by else told


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
