"""The examples are what the documentation shows, and tests run them (``tests/fundamentals/test_plug_ins.py``)."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOW_TO = (ROOT / "docs" / "tasks.md").read_text()


@pytest.mark.parametrize("name", ["notify_task.py", "shard_task.py"])
def test_the_how_to_shows_an_example_as_it_is(name: str):
    docstring, _, code = (ROOT / "examples" / name).read_text().partition("\n\n")
    assert name in HOW_TO
    assert docstring.startswith('"""')
    assert f"```python\n{code}```" in HOW_TO
