"""The documentation has the categories as the rules have them. ``HEADWAY_WRITE_DOCS=1`` writes the table anew."""

import os
import re
from pathlib import Path

from app.core.diagnosis.categories import MEANINGS
from schemas.diagnosis import Domain, Outlook

PAGE = Path(__file__).parents[3] / "docs" / "diagnosis.md"
ROWS = "".join(
    f"| `{category}` | {each.domain} | {each.outlook} | {each.what} | {each.remedy} |\n"
    for category, each in MEANINGS.items()
)
TABLE = re.compile(r"(?<=\|---\|---\|---\|---\|---\|\n)(?:\|.*\n)+")


def test_the_table_of_the_documentation_is_that_of_the_rules():
    text = PAGE.read_text("utf-8")
    if os.environ.get("HEADWAY_WRITE_DOCS"):
        PAGE.write_text(TABLE.sub(lambda _: ROWS, text, count=1), "utf-8")
    assert ROWS in PAGE.read_text("utf-8")


def test_every_word_is_explained():
    text = PAGE.read_text("utf-8")
    assert [word for word in (*Domain, *Outlook) if f"`{word}`" not in text] == []
