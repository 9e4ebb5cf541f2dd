"""Pipeline files, good and bad: each is read, or refused in one message that names the file."""

from pathlib import Path

import pytest

from app.commands.spec_file import NODES_MAX, parse, read_text, yaml_value
from app.errors import InvalidRequest

STAGES = "stages: [{name: a, task: noop}]\n"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
BAD = {
    "a key that YAML takes for true": ("name: p\non: push\n", ["line 2", "quotes"]),
    "another such key": ("stages:\n  - {name: a, yes: 1}\n", ["line 2", "quotes"]),
    "a key that is null": ("~: 1\n", ["quotes"]),
    "a date that does not exist": ("name: p\nwhen: 2024-13-45\n", ["line 2", "month"]),
    "half of a surrogate pair": ('name: "\\ud800"\n', ["surrogates"]),
    "half of a surrogate pair, deep inside": ('stages: [{name: a, params: {x: "\\udfff"}}]\n', ["surrogates"]),
    "a list that holds itself": ("name: &a [*a]\n", ["deeper"]),
    "an object that holds itself": ("name: &a {b: *a}\n", ["deeper"]),
    "brackets without end": ("[" * 5_000, ["deeper"]),
    "brackets without end, as JSON": ('{"a":' * 5_000, ["deeper"]),
    "nested too deep": ("name: " + "[" * 40 + "]" * 40, ["deeper"]),
    "an integer of 5,000 digits": ("name: p\nx: " + "1" * 5_000, ["line 2", "digits"]),
    "a number that is none": ("name: p\nx: !!float x", ["line 2", "float"]),
    "an empty integer": ("x: !!int ''", ["line 1", "int"]),
    "a boolean that is none": ("x: !!bool maybe", ["line 1", "bool"]),
    "a moment that is none": ("x: !!timestamp now", ["line 1", "timestamp"]),
    "an object of Python's": ("x: !!python/object/apply:os.system [id]", ["line 1"]),
    "a text that means ten thousand million values": (BOMB, ["values"]),
    "not UTF-8": (b"name: \xff\n", ["invalid start byte"]),
    "a list": ("- a\n", ["one object"]),
    "nothing": ("", ["one object"]),
    "too much": (b"# " + b"x" * NODES_MAX, "1,048,576 bytes"),
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes) -> str:
        Path("pipeline.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return "pipeline.yaml"

    return write


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_sent_is_refused_by_name(write, text, words):
    with pytest.raises(InvalidRequest) as refused:
        parse(read_text(write(text)), "pipeline.yaml")
    for word in ("pipeline.yaml", *words):
        assert word in refused.value.detail


def test_what_is_a_text_to_json_may_be_more_to_yaml(write):
    spec = parse(
        read_text(write("name: p\nlabels: {2024: x}\nbase: &b {a: 1}\nmore: {<<: *b, when: 2024-11-30}\n" + STAGES)),
        "pipeline.yaml",
    )
    assert spec["more"]["a"] == 1
    assert spec["stages"] == [{"name": "a", "task": "noop"}]


@pytest.mark.parametrize("text", ["[", "2024-13-45", '"\\ud800"', "!!float x", "1" * 5_000, "[" * 5_000])
def test_a_param_that_cannot_be_sent_is_refused_by_name(text):
    with pytest.raises(InvalidRequest, match=r"train\.x"):
        yaml_value("train.x", text)


def test_a_param_is_read_as_yaml():
    assert [yaml_value("x", text) for text in ("3", "{a: [b]}", "", "2024-11-30")] == [
        3,
        {"a": ["b"]},
        "",
        "2024-11-30",
    ]
