"""A template's schema is refused when its check might never end."""

import time

import pytest

from app.core.expansion import expansion_faults
from app.core.params import schema_problem
from app.core.template import template_faults
from schemas.template import TemplateSpec

REF = "#/$defs/d{}"


def chain(length, definition):
    """Definitions of which each is made of a reference to the next, and a property that leads to the first."""
    defs = {f"d{i}": definition({"$ref": REF.format(i + 1)}) for i in range(length)} | {f"d{length}": {}}
    return {"$defs": defs, "properties": {"a": {"$ref": REF.format(0)}}}


def refused(schema):
    return [fault.detail for fault in expansion_faults(schema, "/params_schema")]


def test_a_template_whose_schema_doubles_sixty_times_is_refused_at_once():
    schema = chain(60, lambda ref: {"allOf": [ref, ref]})
    began = time.monotonic()
    (fault,) = template_faults(TemplateSpec("t", {"name": "p", "stages": []}, params_schema=schema), {})
    assert time.monotonic() - began < 1
    assert (fault.code, fault.pointer.startswith("/params_schema/$defs/d")) == ("schema_invalid", True)
    assert "levels deep" in fault.detail


TOO_MUCH = {
    "twice, and that twice": chain(20, lambda ref: {"allOf": [ref, ref]}),
    "what is looked at again": chain(20, lambda ref: {"allOf": [ref], "unevaluatedProperties": False}),
    "many references, by one definition": {"$defs": {"d": {"a": [{}] * 101}}, "allOf": [{"$ref": "#/$defs/d"}] * 100},
    "by anchors": {
        "$defs": {f"d{i}": {"$anchor": f"a{i}", "allOf": [{"$ref": f"#a{i + 1}"}] * 2} for i in range(30)},
        "x": {"$anchor": "a30"},
    },
    "by other spellings": {
        "$defs": {f"d{i}": {"allOf": [{"$ref": f"#/%24defs/d{i + 1}"}] * 2} for i in range(30)} | {"d30": {}}
    },
}
NOT_FOLLOWED = {
    "deep": (chain(200, lambda ref: {"allOf": [ref]}), "levels deep"),
    "deep, the last one first": (
        {"$defs": dict(reversed(chain(200, lambda ref: {"allOf": [ref]})["$defs"].items()))},
        "levels deep",
    ),
    "itself": ({"$ref": "#"}, "leads back"),
    "around": ({"$defs": {"d": {"items": {"$ref": "#/$defs/d"}}}}, "leads back"),
    "by an alias": ({"$defs": [{"items": {"$ref": "#/$defs/00"}}]}, "leads back"),
    "another document": ({"$ref": "https://example.com/schema"}, "this very schema"),
    "an anchor that is not there": ({"$ref": "#nowhere"}, "this very schema"),
    "nothing": ({"$ref": "#/$defs/d"}, "leads to nothing"),
    "another base": ({"$defs": {"d": {"$id": "other"}}}, "$id"),
    "an older base": ({"$defs": {"d": {"$schema": "http://json-schema.org/draft-04/schema#", "id": "x"}}}, "$schema"),
}


@pytest.mark.parametrize("schema", TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_expands_to_too_much_is_refused(schema):
    assert "more than 10,000 schemas" in refused(schema)[0]


@pytest.mark.parametrize(("schema", "why"), NOT_FOLLOWED.values(), ids=NOT_FOLLOWED)
def test_a_reference_leads_somewhere_in_the_schema_and_not_too_deep(schema, why):
    assert why in refused(schema)[0]


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "object",
            "properties": {"$ref": {"type": "string"}, "$id": {}, "a": {"$ref": "#/$defs/d"}},
            "$defs": {"d": {}},
        },
        {
            "$id": "https://example.com/mine",
            "$defs": {"a/b": {"$anchor": "x"}},
            "allOf": [{"$ref": "#/$defs/a~1b"}, {"$ref": "#x"}],
        },
        {"$ref": "#/$defs/never", "$defs": {"never": False}},
        {"properties": {f"p{i}": {"type": "string"} for i in range(5_000)}},
        chain(13, lambda ref: {"properties": {"left": ref}}),
    ],
)
def test_a_schema_as_people_write_it_is_not(schema):
    assert refused(schema) == []
    assert schema_problem(schema) is None


def test_measuring_takes_no_longer_than_reading():
    deep = {"items": [{}] * 2}
    for _ in range(26):
        deep = {"items": deep}
    schema = chain(9, lambda ref: {"oneOf": [ref, ref], "x": deep}) | {"more": [{"$ref": REF.format(9)}] * 9_000}
    began = time.monotonic()
    refused(schema)
    assert time.monotonic() - began < 1
