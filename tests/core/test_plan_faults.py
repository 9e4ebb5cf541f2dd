"""What a create call is refused for: every fault with its code and a pointer into the body."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.plan import FAULTS_MAX
from app.errors import InvalidRequest
from schemas import limits


def prepared_from(path):
    return {"from": f"stages.prepare.result.{path}"}


def test_a_cycle_is_named_by_its_members(planned, train):
    with pytest.raises(InvalidRequest, match="a → b → c → a") as refusal:
        planned([train("a", ["c"]), train("b", ["a"]), train("c", ["b"])])
    assert [(fault.code, fault.pointer) for fault in refusal.value.faults] == [("cycle", "/stages/0/depends_on/0")]


def test_a_long_cycle_is_told_in_a_short_sentence(planned, train):
    with pytest.raises(InvalidRequest, match=r"s0 → s1 .* → \(190 more\) → s0") as refusal:
        planned([train(f"s{i}", [f"s{(i - 1) % 199}"]) for i in range(199)])
    assert len(str(refusal.value)) < 200


def test_a_stage_that_waits_for_a_failure_needs_something_that_may_fail(faults_of, planned, train):
    alert = train("alert") | {"trigger_rule": "any_failed"}
    assert faults_of([alert]) == [("rule_without_dependencies", "/stages/0/trigger_rule")]
    planned([train("a"), train("alert", ["a"]) | {"trigger_rule": "any_failed"}])


def test_a_cycle_through_an_inferred_edge_is_a_cycle(faults_of, train):
    stages = [train("a", dataset={"from": "stages.b.result.model"}), train("b", ["a"])]
    assert faults_of(stages) == [("cycle", "/stages/0/params/dataset")]


def test_a_stage_may_not_wait_for_itself_in_any_way(faults_of, train):
    stages = [train("a", ["a"], dataset={"from": "stages.a.result.model"})]
    assert faults_of(stages, dependencies={"a": ["a"]}) == [
        ("self_dependency", "/stages/0/depends_on/0"),
        ("self_dependency", "/dependencies/a/0"),
        ("self_dependency", "/stages/0/params/dataset"),
    ]


def test_a_stage_that_does_not_exist_is_unknown_wherever_it_is_named(faults_of, train):
    stages = [train("a"), train("b", ["a", "gone"], dataset={"from": "stages.gone.result.model"})]
    assert faults_of(stages, dependencies={"a": [], "lost": ["a"], "b": ["a", "gone"]}) == [
        ("unknown_stage", "/dependencies/lost"),
        ("unknown_stage", "/stages/1/depends_on/1"),
        ("unknown_stage", "/dependencies/b/1"),
        ("unknown_stage", "/stages/1/params/dataset"),
    ]


def test_a_misspelt_name_is_answered_with_the_right_one(planned, train):
    with pytest.raises(InvalidRequest, match="did you mean 'train'"):
        planned([train(), train("b", ["trian"])])
    with pytest.raises(InvalidRequest, match="did you mean 'train'"):
        planned([{"name": "a", "task": "trian"}])
    with pytest.raises(InvalidRequest, match="did you mean 'epochs'"):
        planned([train(epoch=3)])


def test_two_stages_may_not_share_a_name(faults_of, train):
    assert faults_of([train("a"), train("b"), train("a")]) == [("duplicate_stage", "/stages/2/name")]


def test_an_unknown_task_is_told(faults_of, train):
    assert faults_of([train(), {"name": "b", "task": "gone"}]) == [("unknown_task", "/stages/1/task")]


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"lr": "fast"}, ("param_invalid", "/stages/0/params/lr")),
        ({"lr": 0}, ("param_invalid", "/stages/0/params/lr")),
        ({"epochs": 1.5}, ("param_invalid", "/stages/0/params/epochs")),
        ({"epochs": True}, ("param_invalid", "/stages/0/params/epochs")),
        ({"layers": [{"width": 1}, {"width": "x"}]}, ("param_invalid", "/stages/0/params/layers/1/width")),
        ({"layers": [{}]}, ("param_missing", "/stages/0/params/layers/0")),
        ({"layers": [{"width": 1, "a/b~c": 1}]}, ("param_unknown", "/stages/0/params/layers/0/a~1b~0c")),
        ({"learning_rate": 0.1}, ("param_unknown", "/stages/0/params/learning_rate")),
        ({"a/b~c": 1}, ("param_unknown", "/stages/0/params/a~1b~0c")),
        ({"odd": prepared_from("dataset")}, ("param_unknown", "/stages/0/params/odd")),
    ],
)
def test_params_must_fit_what_the_task_declared(faults_of, prepare, train, params, fault):
    assert faults_of([train(**params), prepare]) == [fault]


def test_a_required_param_that_is_missing_is_told_at_a_place_that_exists(faults_of):
    stages = [
        {"name": "a", "task": "train", "params": {"epochs": 1}},
        {"name": "b", "task": "train"},
    ]
    assert faults_of(stages) == [("param_missing", "/stages/0/params"), ("param_missing", "/stages/1")]


def test_neither_branch_of_an_optional_param_fitting_is_told_in_words(planned, prepare):
    with pytest.raises(InvalidRequest, match='not of type "integer", and this value is not of type "null"'):
        planned([{**prepare, "params": {"source": "x", "seed": "y"}}])


def test_a_refused_value_is_not_repeated(planned, train):
    with pytest.raises(InvalidRequest) as refusal:
        planned([train(lr="secret" * 1_000)])
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("param", "text"),
    [
        ("dataset", "prepare.dataset"),
        ("dataset", "stages.prepare.result"),
        ("dataset", "stages.prepare.result.gone"),
        ("dataset", "stages.prepare.result.files.gone"),
        ("dataset", "stages.prepare.result.dataset.deeper"),
        ("dataset", "stages.prepare.result.files.parts.first"),
        ("dataset", "stages.prepare.result.rows"),
        ("dataset", "stages.prepare.result.files"),
        ("epochs", "stages.prepare.result.share"),
        ("epochs", "stages.prepare.result.dataset"),
        ("tags", "stages.prepare.result.files.parts"),
    ],
)
def test_a_reference_must_be_well_formed_declared_and_of_the_right_type(faults_of, prepare, train, param, text):
    fault = ("reference_invalid", f"/stages/1/params/{param}")
    assert faults_of([prepare, train(**{param: {"from": text}})]) == [fault]


@pytest.mark.parametrize("bad", ["\0", "\x1b[2J", "\x7f", "\x85", "\ud800"])
def test_control_characters_and_half_surrogates_are_refused_everywhere(faults_of, train, bad):
    stages = [train(), train("b", dataset=f"x{bad}", tags={"fine": bad, f"k{bad}": "under a bad key"})]
    assert faults_of(stages, name=f"n{bad}", description=bad, labels={"a/b": bad, f"k{bad}": "v"}) == [
        ("bad_character", "/name"),
        ("bad_character", "/description"),
        ("bad_character", "/labels/a~1b"),
        ("bad_character", "/labels"),
        ("bad_character", "/stages/1/params/dataset"),
        ("bad_character", "/stages/1/params/tags"),
        ("bad_character", "/stages/1/params/tags/fine"),
    ]


@pytest.mark.parametrize("bad", ["\n", "\t"])
def test_names_and_keys_have_one_line(faults_of, train, bad):
    stages = [train(tags={bad: "x"})]
    assert faults_of(stages, name=bad, labels={"a": bad}) == [
        ("bad_character", "/name"),
        ("bad_character", "/labels/a"),
        ("bad_character", "/stages/0/params/tags"),
    ]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 2**64, -(2**63) - 1, 10**400])
def test_numbers_that_no_database_or_reader_holds_are_refused_at_any_depth(planned, faults_of, train, number):
    with pytest.raises(InvalidRequest, match=r"must be finite|must fit into 64 bits"):
        planned([train(lr=number)])
    assert faults_of([train(lr=number)]) == [("param_invalid", "/stages/0/params/lr")]
    assert faults_of([train(layers=[{"width": number}])]) == [("param_invalid", "/stages/0/params/layers/0/width")]


def test_params_have_a_size_in_bytes_and_a_depth(planned, faults_of, train):
    overhead = len(msgspec.json.encode(train()["params"])) - len("digits.parquet")
    planned([train(dataset="x" * (64 * 1024 - overhead))])
    assert faults_of([train(dataset="x" * (64 * 1024 - overhead + 1))]) == [("params_too_large", "/stages/0/params")]
    assert faults_of([train(dataset="é" * (40 * 1024))]) == [("params_too_large", "/stages/0/params")]

    deep = []
    for _ in range(5_000):
        deep = [deep]
    [(code, pointer)] = faults_of([train(layers=deep)])
    assert code == "params_too_large"
    assert pointer.startswith("/stages/0/params/layers/0/0")


def test_a_pipeline_has_as_many_stages_as_the_settings_allow(planned, faults_of, train):
    stages = [train(f"s{i}") for i in range(4)]
    assert len(planned(stages, stages_max=4).stages) == 4
    assert faults_of(stages, stages_max=3) == [("too_many_stages", "/stages")]


def test_a_stage_has_a_thousand_dependencies_at_most_wherever_they_are_written(planned, faults_of, train):
    names = [f"s{i}" for i in range(1_001)]
    stages = [*(train(name) for name in names), train("join", names[:1_000])]
    assert len(planned(stages, stages_max=2_000).stages[-1].depends_on) == 1_000
    join = {"join": [names[1_000]]}
    assert faults_of(stages, stages_max=2_000, dependencies=join) == [("too_many_dependencies", "/stages/1001")]


def test_a_pipeline_has_so_many_dependencies_at_most_wherever_they_are_written(planned, faults_of, train, monkeypatch):
    monkeypatch.setattr(limits, "EDGES_MAX", 3)
    stages = [train("a"), train("b", ["a"]), train("c", ["a"]), train("d")]
    assert planned(stages, dependencies={"d": ["a"]})
    assert faults_of(stages, dependencies={"d": ["a", "b"]}) == [("too_many_dependencies", "/stages")]


def test_everything_wrong_is_told_at_once(planned, train):
    with pytest.raises(InvalidRequest, match="4 things are wrong; the first: ") as refusal:
        planned([train("a", ["b"], lr=-1), train("b", ["a", "gone"]), {"name": "c", "task": "gone"}])
    assert {fault.code for fault in refusal.value.faults} == {"param_invalid", "cycle", "unknown_stage", "unknown_task"}


def test_a_hopeless_request_gets_no_endless_answer(planned, train):
    with pytest.raises(InvalidRequest, match=f"{FAULTS_MAX} or more things are wrong") as refusal:
        planned([train("a", [f"gone{i}" for i in range(900)])])
    assert len(refusal.value.faults) == FAULTS_MAX


NAMES = st.sampled_from(["a", "b", "c", "prepare", "gone"])
VALUES = st.recursive(
    st.sampled_from(["x", 1, 0.5, True, None, "\0", "\ud800", math.nan, 2**70, {"from": "nonsense"}]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["width", "a/b~"]), inner, max_size=2),
    max_leaves=4,
)
REFERENCES = st.builds("stages.{}.result.{}".format, NAMES, st.sampled_from(["dataset", "rows", "files.0", "model"]))
PARAMS = st.dictionaries(
    st.sampled_from(["dataset", "lr", "layers", "source", "a/b~", "", "\ud800", "\0"]),
    VALUES | st.builds(lambda text: {"from": text}, REFERENCES),
    max_size=4,
)
STAGES = st.fixed_dictionaries(
    {"name": NAMES, "task": st.sampled_from(["train", "prepare_data", "gone"])},
    optional={"params": PARAMS, "depends_on": st.lists(NAMES, max_size=3)},
)


def at(body, pointer):
    """Walk a JSON Pointer as any client would."""
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        body = body[int(key)] if isinstance(body, list) else body[key]
    return body


@given(
    stages=st.lists(STAGES, min_size=1, max_size=4),
    labels=st.dictionaries(st.sampled_from(["k", "a/b~", "\ud800"]), st.sampled_from(["v", "\n"])),
    dependencies=st.dictionaries(NAMES, st.lists(NAMES, max_size=3)),
)
def test_whatever_comes_in_is_planned_or_refused_with_pointers_to_places_that_exist(
    planned, stages, labels, dependencies
):
    body = {"name": "x", "stages": stages, "labels": labels, "dependencies": dependencies}
    try:
        planned(**body)
    except InvalidRequest as refusal:
        assert refusal.faults  # noqa: PT017 - a plan is the other right answer
        assert msgspec.json.encode(refusal.faults)  # noqa: PT017
        for fault in refusal.faults:
            at(body, fault.pointer)
