"""The depth of a body is known before a decoder sees it."""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.api.body import _depth

VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='[]{}"\\/a\n'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[]{}"\\'), inner, max_size=3),
)


def nesting(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(nesting, inner), default=0)


@given(VALUES)
@example(["\\", "["])
@example({'\\"': ['"\\']})
@settings(deadline=None)
def test_the_depth_of_any_json_is_that_of_its_value(value):
    assert _depth(json.dumps(value).encode()) == nesting(value)


@given(st.binary())
@settings(deadline=None)
def test_whatever_else_it_is_given_it_answers(body):
    assert _depth(body) >= -body.count(b"]") - body.count(b"}")
