"""The simulator on the command line, from the root of a checkout.

python -m tests.properties.simulation SEED            one schedule, step by step
python -m tests.properties.simulation SEED --shrink   the smallest schedule that breaks the same rule
python -m tests.properties.simulation --runs 100000   so many schedules on all cores, and what they met
python -m tests.properties.simulation --mutants       every planted defect must be found

With ``--mutant NAME`` the first two run with that defect planted.
"""

import argparse
import sys
import time
from contextlib import nullcontext

from tests.properties.simulation.campaign import run_many
from tests.properties.simulation.mutants import catalogue
from tests.properties.simulation.mutants.planting import planted
from tests.properties.simulation.run import run
from tests.properties.simulation.schedule import Scenario, draw
from tests.properties.simulation.shrink import shrink
from tests.properties.simulation.sometimes import FLOORS, too_rare
from tests.properties.simulation.witness.violation import RULES


def main() -> int:
    """Do what the arguments say; 1 if a rule was broken, a trouble too rare or a mutant not found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int, nargs="?", help="the schedule to replay")
    parser.add_argument("--shrink", action="store_true", help="make it small before it is told")
    parser.add_argument("--mutant", choices=sorted(each.name for each in catalogue.ALL), help="plant this defect")
    parser.add_argument("--runs", type=int, default=0, help="so many schedules, from seed 0 or SEED")
    parser.add_argument("--mutants", action="store_true", help="hunt all planted defects")
    options = parser.parse_args()
    if options.mutants:
        return _hunt_all()
    if options.runs:
        return _run_many(options.seed or 0, options.runs)
    if options.seed is None:
        parser.error("a SEED, --runs or --mutants")
    with planted(catalogue.named(options.mutant)) if options.mutant else nullcontext():
        return _replay(draw(options.seed), small=options.shrink)


def _replay(scenario: Scenario, *, small: bool) -> int:
    suppressed: frozenset[int] = frozenset()
    if small:
        scenario, suppressed, _ = shrink(scenario)
    result = run(scenario, suppressed, traced=True)
    _say(_described(scenario), *result.trace, result.violation or "no rule was broken")
    return int(result.violation is not None)


def _described(scenario: Scenario) -> str:
    lines = [f"seed {scenario.seed}, quiet from {scenario.quiet_at:.0f} s on"]
    for position, stage in enumerate(scenario.stages):
        poison = ", kills its worker" if position in scenario.poisonous else ""
        lines.append(
            f"stage {position} after {list(stage.dependencies)}: {stage.max_retries} retries after "
            f"{stage.retry_delay_s:g} s, timeout {stage.timeout_s:g} s{poison}"
        )
    lines.append(f"{len(scenario.slots)} workers with {scenario.slots} slots, {len(scenario.clocks)} schedulers")
    lines += [f"at {act.at:.1f} s: {act.what} {act.length:.1f} s" for act in scenario.acts]
    lines.append("rates: " + ", ".join(f"{fault} {rate:g}" for fault, rate in scenario.rates.items() if rate))
    return "\n".join(lines)


def _run_many(first: int, runs: int) -> int:
    began = time.monotonic()
    campaign = run_many(first, runs)
    seconds = time.monotonic() - began
    _say(f"{campaign.runs} schedules in {seconds:.0f} s, {campaign.runs / seconds:.0f}/s")
    for name, times in sorted(campaign.met.items()):
        _say(f"  {name:32} {times * 10_000 / campaign.runs:7.0f} per 10,000, at least {FLOORS.get(name, 0)}")
    rare = too_rare(campaign.met, campaign.runs)
    _say(*(f"seed {seed}: {violation}" for seed, violation in campaign.failures.items()))
    _say(*(f"too rare: {name}, {times} times" for name, times in rare.items()))
    return int(bool(campaign.failures or rare))


def _hunt_all() -> int:
    bad, broken = 0, set()
    for one, found in catalogue.hunt_all():
        told = f"found by {found.rule} after {found.schedules}" if found.rule else f"survived {found.schedules}"
        expected = (found.rule is None) is (one.masked_by is not None)
        bad += not expected
        broken.add(found.rule)
        why = f"; masked by {one.masked_by}" if one.masked_by else ""
        _say(f"{'ok ' if expected else 'BAD'} {one.name:34} {told}{why}")
    idle = [rule for rule in RULES if rule not in broken]
    _say(*(f"BAD no mutant broke the rule {rule}, so nothing shows that its check can fail" for rule in idle))
    return int(bool(bad or idle))


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
