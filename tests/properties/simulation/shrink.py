"""Make a failing schedule small: drop whatever it does not need to break the same rule.

First parts of the scenario (acts, rates, stages, workers), then single faults of the dice. What is left is decided by
the dice, so that each smaller scenario is tried with a few seeds.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count
from typing import NamedTuple

from tests.properties.simulation.model.records import StagePlan
from tests.properties.simulation.run import Run, run
from tests.properties.simulation.schedule import Scenario, sound

TRIES = 200
RUNS_MAX = 40_000


class Small(NamedTuple):
    """A schedule that cannot be made smaller by leaving out one more thing, and how it runs."""

    scenario: Scenario
    suppressed: frozenset[int]
    run: Run


def shrink(scenario: Scenario) -> Small:
    """The smallest schedule found that breaks the rule that this one breaks."""
    rule, runs = run(scenario).rule, count()
    scenario = _shrink_scenario(scenario, rule, runs)
    suppressed = _suppress_faults(scenario, rule, runs)
    return Small(scenario, suppressed, run(scenario, suppressed, traced=True))


def _shrink_scenario(scenario: Scenario, rule: str | None, runs: "count[int]") -> Scenario:
    shrinks = True
    while shrinks:
        shrinks = False
        for smaller in _smaller(scenario):
            if found := _still_fails(smaller, rule, runs):
                scenario, shrinks = found, True
                break
    return scenario


def _still_fails(scenario: Scenario, rule: str | None, runs: "count[int]") -> Scenario | None:
    for offset in range(TRIES):
        if next(runs) > RUNS_MAX:
            return None
        candidate = replace(scenario, seed=scenario.seed + offset * 1_000_003)
        if run(candidate).rule == rule:
            return candidate
    return None


def _suppress_faults(scenario: Scenario, rule: str | None, runs: "count[int]") -> frozenset[int]:
    suppressed: frozenset[int] = frozenset()
    fault = 1
    while fault <= run(scenario, suppressed).fired and next(runs) < RUNS_MAX:
        if run(scenario, suppressed | {fault}).rule == rule:
            suppressed |= {fault}
        fault += 1
    return suppressed


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Everything that has one thing less, the largest cuts first."""
    return chain(_fewer_stages(scenario), _fewer_things(scenario), _fewer_rates(scenario), _plainer_stages(scenario))


def _fewer_stages(scenario: Scenario) -> Iterator[Scenario]:
    for gone in range(len(scenario.stages) if len(scenario.stages) > 1 else 0):
        kept = [position for position in range(len(scenario.stages)) if position != gone]
        place = {position: number for number, position in enumerate(kept)}
        yield replace(
            scenario,
            stages=tuple(_moved(scenario.stages[position], place) for position in kept),
            poisonous=tuple(place[position] for position in scenario.poisonous if position in place),
        )


def _moved(stage: StagePlan, place: dict[int, int]) -> StagePlan:
    return sound(stage._replace(dependencies=tuple(place[each] for each in stage.dependencies if each in place)))


def _fewer_things(scenario: Scenario) -> Iterator[Scenario]:
    for gone in range(len(scenario.acts)):
        yield replace(scenario, acts=scenario.acts[:gone] + scenario.acts[gone + 1 :])
    if scenario.poisonous:
        yield replace(scenario, poisonous=())
    if len(scenario.clocks) > 1:
        yield replace(scenario, clocks=scenario.clocks[:1])
    if len(scenario.slots) > 1:
        yield replace(scenario, slots=scenario.slots[:-1])
    for place, slots in enumerate(scenario.slots):
        if slots > 1:
            yield replace(scenario, slots=(*scenario.slots[:place], 1, *scenario.slots[place + 1 :]))
    if not scenario.starts_at_once:
        yield replace(scenario, starts_at_once=True)


def _fewer_rates(scenario: Scenario) -> Iterator[Scenario]:
    for fault, rate in scenario.rates.items():
        if rate:
            yield replace(scenario, rates={**scenario.rates, fault: 0.0})


def _plainer_stages(scenario: Scenario) -> Iterator[Scenario]:
    for place, stage in enumerate(scenario.stages):
        plainer = [sound(stage._replace(dependencies=stage.dependencies[1:]))] if stage.dependencies else []
        plainer += [stage._replace(max_retries=stage.max_retries - 1)] if stage.max_retries else []
        plainer += [stage._replace(retry_delay_s=0.0)] if stage.retry_delay_s else []
        plain = StagePlan()
        for name in ("queue_timeout_s", "total_timeout_s", "trigger_rule", "allow_failure", "retry_backoff"):
            if getattr(stage, name) != getattr(plain, name):
                plainer.append(stage._replace(**{name: getattr(plain, name)}))
        for each in plainer:
            yield replace(scenario, stages=(*scenario.stages[:place], each, *scenario.stages[place + 1 :]))
