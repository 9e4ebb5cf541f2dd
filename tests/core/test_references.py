"""References: how they are written, read and replaced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.references import Reference, UnresolvedReference, parse, resolve, written_in

RESULTS = {"prepare": {"dataset": "d.parquet", "files": {"train": "t"}, "parts": ["p0", {"rows": 7}], "none": None}}


def test_a_reference_is_a_whole_param_with_the_one_key_from():
    params = {
        "dataset": {"from": "stages.prepare.result.dataset"},
        "rows": {"from": 7},
        "span": {"from": "a", "to": "b"},
        "nested": [{"from": "stages.prepare.result.dataset"}],
        "plain": "stages.prepare.result.dataset",
    }
    assert written_in(params) == {"dataset": "stages.prepare.result.dataset"}


def test_a_reference_names_a_stage_and_a_path_into_its_result():
    assert parse("stages.prepare.result.dataset") == Reference("prepare", ("dataset",))
    assert parse("stages.pre-pare_2.result.files.train") == Reference("pre-pare_2", ("files", "train"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "prepare.result.dataset",
        "stages.prepare.dataset",
        "stages.prepare.result",
        "stages.prepare.result.",
        "stages..result.dataset",
        "stages.prepare.result.files..train",
        "stages.prepare.error.message",
        "${stages.prepare.result.dataset}",
        " stages.prepare.result.dataset",
    ],
)
def test_anything_else_is_malformed(text):
    assert parse(text) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [("dataset", "d.parquet"), ("files.train", "t"), ("parts.0", "p0"), ("parts.1.rows", 7), ("none", None)],
)
def test_a_dot_goes_into_an_object_by_key_and_into_a_list_by_index(path, value):
    params = {"it": {"from": f"stages.prepare.result.{path}"}, "lr": 0.1}
    assert resolve(params, written_in(params), RESULTS) == {"it": value, "lr": 0.1}


def test_the_params_that_came_in_are_left_alone():
    params = {"it": {"from": "stages.prepare.result.dataset"}}
    resolve(params, written_in(params), RESULTS)
    assert params == {"it": {"from": "stages.prepare.result.dataset"}}


@pytest.mark.parametrize(
    "text",
    [
        "stages.prepare.result.gone",
        "stages.gone.result.dataset",
        "stages.prepare.result.dataset.deeper",
        "stages.prepare.result.parts.2",
        "stages.prepare.result.parts.-1",
        "stages.prepare.result.parts.first",
        "stages.prepare.result.parts.²",
        "stages.prepare.result.parts.\N{ARABIC-INDIC DIGIT ZERO}",
        "stages.prepare.result.parts." + "9" * 5_000,
        "stages.prepare.result.none.deeper",
        "not a reference",
    ],
)
def test_a_reference_that_leads_nowhere_is_told_with_its_param(text):
    with pytest.raises(UnresolvedReference) as failure:
        resolve({"it": {"from": text}}, {"it": text}, RESULTS)
    assert (failure.value.param, failure.value.reference) == ("it", text)
    assert len(str(failure.value)) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab1", min_size=1), inner),
    max_leaves=6,
)


def paths(value, path=()):
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in entries:
        yield (*path, str(step)), inner
        yield from paths(inner, (*path, str(step)))


@given(st.dictionaries(st.text("ab1", min_size=1), JSON, min_size=1))
def test_every_place_in_every_result_can_be_referred_to(result):
    for path, value in paths(result):
        text = f"stages.a.result.{'.'.join(path)}"
        assert resolve({}, {"it": text}, {"a": result}) == {"it": value}
