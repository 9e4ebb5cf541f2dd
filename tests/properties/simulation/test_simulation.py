"""100,000 schedules in a hostile world: every promise is kept, and every kind of trouble was there to break it."""

import re
from pathlib import Path

import pytest

from app.core import transitions
from app.core.transitions import STAGE_MOVES, StageEvent
from schemas.states import StageStatus
from tests.properties.simulation.campaign import Campaign, run_many
from tests.properties.simulation.mutants import catalogue
from tests.properties.simulation.mutants.planting import planted
from tests.properties.simulation.run import run, run_seed
from tests.properties.simulation.schedule import draw
from tests.properties.simulation.shrink import shrink
from tests.properties.simulation.sometimes import too_rare
from tests.properties.simulation.witness.violation import RULES

ROOT = Path(__file__).parents[3]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
RUNS = 100_000
REPLAY = "python -m tests.properties.simulation {} --shrink"
NEVER_ASKED_OF_A_RUNNING_STAGE = {(StageStatus.RUNNING, StageEvent.CANCEL)}  # its worker stops it; see the beat


@pytest.fixture(scope="module")
def campaign(request: pytest.FixtureRequest) -> Campaign:
    seed = request.config.getoption("--seed", default=None)
    return run_many(seed or 0, RUNS if seed is None else 1)


def test_every_schedule_keeps_every_promise(campaign: Campaign):
    told = [f"{violation}\n    {REPLAY.format(seed)}" for seed, violation in campaign.failures.items()]
    assert not told, "\n" + "\n".join(told)


def test_every_kind_of_trouble_was_met_often_enough(campaign: Campaign):
    if campaign.runs < RUNS:
        pytest.skip("one schedule does not meet everything")
    assert too_rare(campaign.met, campaign.runs) == {}


def test_every_arrow_of_the_grammar_is_walked(monkeypatch):
    walked = set()
    following = transitions.next_stage

    def noting(status, event, pipeline):
        walked.add((status, event))
        return following(status, event, pipeline)

    monkeypatch.setattr(transitions, "next_stage", noting)
    for seed in range(3_000):
        run_seed(seed)
    arrows = {(status, event) for event, moves in STAGE_MOVES.items() for status in moves if status is not None}
    assert walked == arrows - NEVER_ASKED_OF_A_RUNNING_STAGE


def test_a_seed_is_the_whole_schedule():
    first, second = run(draw(12), traced=True), run(draw(12), traced=True)
    assert first == second
    assert len(first.trace) > 20


def test_a_failing_schedule_shrinks_to_what_it_needs_and_tells_its_story():
    with planted(catalogue.named("claim_ignores_the_pipeline")):
        seed = next(seed for seed in range(1_000) if run_seed(seed).rule)
        small = shrink(draw(seed))
    assert small.run.rule == "pause_holds"
    assert len(small.scenario.stages) == 1
    assert {act.what for act in small.scenario.acts} == {"pause"}
    assert sum(rate > 0 for rate in small.scenario.rates.values()) <= 1
    assert any("pipeline.paused" in line for line in small.run.trace)
    assert "stage.started" in small.run.trace[-1]


def test_the_documented_rules_are_those_that_are_checked():
    documented = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", documented, re.MULTILINE)) == sorted(RULES)


def test_the_documented_tests_exist():
    code = "".join(file.read_text("utf-8") for file in TESTS)
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "guarantees.md").read_text("utf-8"))
    assert [name for name in named if f"def {name}(" not in code] == []
