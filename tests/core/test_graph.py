"""The shape of a pipeline: order, levels and cycles."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.core.graph import dependents, duplicates, find_cycle, levels, roots

DIAMOND = {"d": ["b", "c"], "b": ["a"], "c": ["a"], "a": []}


def test_a_diamond_has_one_root_and_three_levels():
    assert roots(DIAMOND) == ["a"]
    assert levels(DIAMOND) == [["a"], ["b", "c"], ["d"]]


def test_dependents_are_the_dependencies_read_backwards():
    assert dependents(DIAMOND) == {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}


def test_a_dag_has_no_cycle():
    assert find_cycle(DIAMOND) is None
    assert find_cycle({}) is None


def test_a_cycle_is_named_in_the_order_of_the_flow_from_its_first_written_member():
    waits_for = {"free": [], "a": ["c"], "b": ["a"], "c": ["b", "free"]}
    assert find_cycle(waits_for) == ["a", "b", "c", "a"]


def test_a_stage_that_waits_for_itself_is_a_cycle_of_one():
    assert find_cycle({"a": ["a"]}) == ["a", "a"]


def test_a_name_is_a_duplicate_from_its_second_position_on():
    assert duplicates(["a", "b", "a", "a"]) == [2, 3]
    assert duplicates(["a", "b"]) == []


def test_ten_thousand_stages_in_a_row_are_no_deeper_than_three():
    chain = {f"s{i}": [f"s{i - 1}"] if i else [] for i in range(10_000)}
    assert find_cycle(chain) is None
    assert len(levels(chain)) == 10_000
    assert len(find_cycle({**chain, "s0": ["s9999"]})) == 10_001


@st.composite
def dags(draw, stages_min=1):
    """Random DAGs whose stages are written in an order that has nothing to do with their edges."""
    names = [f"s{i}" for i in range(draw(st.integers(stages_min, 12)))]
    waits_for = {
        name: draw(st.lists(st.sampled_from(names[:position]), unique=True) if position else st.just([]))
        for position, name in enumerate(names)
    }
    return {name: waits_for[name] for name in draw(st.permutations(names))}


@given(dags())
def test_levels_hold_every_stage_once_and_one_level_after_its_last_dependency(dag):
    level_of = {stage: depth for depth, level in enumerate(levels(dag)) for stage in level}
    assert sorted(level_of) == sorted(dag)
    assert sum(len(level) for level in levels(dag)) == len(dag)
    for stage, dependencies in dag.items():
        assert level_of[stage] == max((level_of[each] + 1 for each in dependencies), default=0)
    assert levels(dag)[0] == roots(dag)


@given(dags())
def test_reading_the_edges_backwards_twice_gives_the_same_edges(dag):
    again = dependents(dependents(dag))
    assert {stage: set(each) for stage, each in again.items()} == {stage: set(each) for stage, each in dag.items()}


@given(dags(stages_min=2), st.data())
def test_a_planted_cycle_is_always_found_and_what_is_named_is_one(dag, data):
    members = data.draw(st.lists(st.sampled_from(sorted(dag)), min_size=2, unique=True))
    planted = {stage: list(dependencies) for stage, dependencies in dag.items()}
    for before, after in pairwise([*members, members[0]]):
        planted[after].append(before)

    cycle = find_cycle(planted)
    assert cycle is not None
    assert cycle[0] == cycle[-1]
    assert len(set(cycle)) == len(cycle) - 1
    assert all(before in planted[after] for before, after in pairwise(cycle))
