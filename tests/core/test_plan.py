"""What a valid create call becomes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.graph import find_cycle
from schemas.queue import Queue, Slot


def test_what_the_client_left_open_gets_its_default(planned, prepare):
    plan = planned([prepare])
    assert (plan.name, plan.description, plan.priority, plan.labels, plan.start) == ("digits", "", 5, {}, False)
    [stage] = plan.stages
    assert (stage.task, stage.queue, stage.slot) == ("prepare_data", Queue.PREPROCESSING, Slot.PROCESS)
    assert (stage.max_retries, stage.retry_delay_s, stage.timeout_s) == (0, 60, 86_400)
    assert (stage.depends_on, stage.references) == ([], {})


def test_a_stage_may_choose_its_own_queue_and_retries_over_those_of_task_and_pipeline(planned, prepare, train):
    own = {**train(), "queue": "default", "max_retries": 0, "retry_delay": 1, "timeout": 5}
    inherits, overrides = planned([prepare, own], max_retries=3).stages
    assert (inherits.queue, inherits.max_retries) == (Queue.PREPROCESSING, 3)
    assert (overrides.queue, overrides.max_retries) == (Queue.DEFAULT, 0)
    assert (overrides.retry_delay_s, overrides.timeout_s) == (1, 5)


def test_edges_come_from_depends_on_dependencies_and_references_each_once_in_that_order(planned, prepare, train):
    stages = [
        prepare,
        train("a"),
        train("b"),
        train("c", ["b"], dataset={"from": "stages.prepare.result.dataset"}),
    ]
    plan = planned(stages, dependencies={"c": ["a", "b"], "b": ["a"]})
    assert {stage.name: stage.depends_on for stage in plan.stages} == {
        "prepare": [],
        "a": [],
        "b": ["a"],
        "c": ["b", "a", "prepare"],
    }


def test_a_reference_stays_in_the_params_until_the_stage_starts(planned, prepare, train):
    reference = {"from": "stages.prepare.result.dataset"}
    stage = planned([prepare, train(dataset=reference)]).stages[1]
    assert stage.params == {"dataset": reference}
    assert stage.references == {"dataset": "stages.prepare.result.dataset"}


@pytest.mark.parametrize(
    ("param", "path"),
    [
        ("dataset", "dataset"),
        ("epochs", "rows"),
        ("lr", "rows"),
        ("lr", "share"),
        ("dataset", "files.train"),
        ("dataset", "files.parts.0"),
        ("dataset", "notes.anything"),
        ("tags", "notes"),
    ],
)
def test_a_reference_may_ask_for_whatever_the_other_task_declares_of_the_right_type(
    planned, prepare, train, param, path
):
    plan = planned([prepare, train(**{param: {"from": f"stages.prepare.result.{path}"}})])
    assert plan.stages[1].depends_on == ["prepare"]


def test_a_result_that_is_open_for_more_may_be_asked_for_more(planned, train):
    planned([train("a"), train("b", dataset={"from": "stages.a.result.model"})])


def test_line_ends_and_tabs_may_stand_in_texts(planned, train):
    text = "first\r\n\tsecond\n"
    plan = planned([train(dataset=text, tags={"note": text})], description=text)
    assert plan.description == text
    assert plan.stages[0].params["tags"] == {"note": text}


def test_the_largest_numbers_of_64_bits_pass(planned, prepare):
    for seed in (-(2**63), 2**64 - 1, None):
        assert planned([{**prepare, "params": {"source": "x", "seed": seed}}]).stages[0].params["seed"] == seed


def test_a_chain_of_the_hard_limit_of_stages_is_planned(planned, train):
    stages = [train(f"s{i}", [f"s{i - 1}"] if i else []) for i in range(10_000)]
    plan = planned(stages, stages_max=10_000)
    assert len(plan.stages) == 10_000
    assert plan.stages[-1].depends_on == ["s9998"]


@st.composite
def valid_bodies(draw):
    """Pipelines whose stages are written in any order and spread their edges over all three places."""
    names = [f"s{i}" for i in range(draw(st.integers(1, 8)))]
    stages, dependencies, wanted = [], {}, {}
    for position, name in enumerate(names):
        earlier = st.lists(st.sampled_from(names[:position]), max_size=3) if position else st.just([])
        listed, mapped, referred = draw(earlier), draw(earlier), draw(earlier)[:1]
        params = {"dataset": {"from": f"stages.{referred[0]}.result.model"} if referred else "d"}
        stages.append({"name": name, "task": "train", "params": params, "depends_on": listed})
        dependencies[name] = mapped
        wanted[name] = {*listed, *mapped, *referred}
    return {"stages": draw(st.permutations(stages)), "dependencies": dependencies}, wanted


@given(case=valid_bodies())
def test_a_valid_pipeline_is_never_refused_and_loses_no_edge(planned, case):
    body, wanted = case
    plan = planned(**body)
    waits_for = {stage.name: stage.depends_on for stage in plan.stages}
    assert [stage.name for stage in plan.stages] == [stage["name"] for stage in body["stages"]]
    assert {name: set(each) for name, each in waits_for.items()} == wanted
    assert all(len(set(each)) == len(each) for each in waits_for.values())
    assert find_cycle(waits_for) is None
    assert msgspec.json.encode(plan)
